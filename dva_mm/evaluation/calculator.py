"""Recall@K as an extension of pytorch-metric-learning's ``AccuracyCalculator``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN, FaissKNN
from torch import Tensor

try:
    import faiss
except ModuleNotFoundError:  # faiss is optional: the torch search is exact too, only slower
    faiss = None


def check_ks(ks: int | Sequence[int]) -> tuple[int, ...]:
    """Return the cut-offs K of Recall@K in ascending order, each once.

    Args:
        ks: One cut-off or several.

    Raises:
        ValueError: If there is no cut-off, or one is not a positive integer.
    """
    values = (ks,) if isinstance(ks, int) else tuple(ks)
    wrong = [k for k in values if isinstance(k, bool) or not isinstance(k, int) or k < 1]
    if wrong or not values:
        raise ValueError(f'K of Recall@K must be positive integers, e.g. (1, 2, 4, 8), got {ks!r}')
    return tuple(sorted(set(values)))


class CosineKNN:
    """Exact k nearest neighbours by cosine similarity.

    Usable wherever pytorch-metric-learning takes a ``knn_func``. Both searches work in blocks and
    never hold the (N, M) similarities. The order among equal similarities is up to the search.

    Args:
        backend: ``'faiss'``, ``'torch'``, or ``'auto'``: faiss where it is installed, else torch.
        chunk_size: Queries compared at a time by the torch search, whose largest temporary is
            (chunk_size, M). Default 256.

    Raises:
        ValueError: If ``backend`` is unknown, faiss is asked for but not installed, or
            ``chunk_size`` is below 1.
    """

    def __init__(self, backend: str = 'auto', chunk_size: int = 256) -> None:
        if backend not in ('auto', 'faiss', 'torch'):
            raise ValueError(f"backend must be 'auto', 'faiss' or 'torch', got {backend!r}")
        if backend == 'faiss' and faiss is None:
            raise ValueError(
                "backend='faiss' needs faiss: install faiss-cpu or faiss-gpu, or use 'torch'"
            )
        if chunk_size < 1:
            raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
        if backend == 'torch' or faiss is None:
            self.search = CustomKNN(CosineSimilarity(), batch_size=chunk_size)
        else:
            self.search = FaissKNN(index_init_fn=faiss.IndexFlatIP)

    @torch.no_grad()
    def __call__(
        self, query: Tensor, k: int, reference: Tensor, ref_includes_query: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Search the gallery.

        Args:
            query: (N, C) embeddings, of any length.
            k: Neighbours per query.
            reference: (M, C) gallery embeddings, of any length.
            ref_includes_query: The first N gallery rows are the queries, in the same order; then
                no query is found as its own neighbour.

        Returns:
            Similarities (N, k), descending, and gallery row numbers (N, k).

        Raises:
            ValueError: If the gallery has fewer than ``k`` images to offer to a query.
        """
        _check_gallery(k, len(reference), ref_includes_query)
        query, reference = (F.normalize(x.float(), dim=1) for x in (query, reference))
        return self.search(query, k, reference, ref_includes_query)


class RetrievalCalculator(AccuracyCalculator):
    """Recall@K: the share of queries with a same-class image among their K nearest.

    With q a query of class y(q) and N_K(q) its K nearest gallery images by cosine, q left out:

        Recall@K = |{q : some g in N_K(q) has y(g) = y(q)}| / |{q}|

    Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    https://arxiv.org/abs/1511.06452. Queries whose class has no other gallery image have no right
    answer and are left out of both counts, as everywhere in pytorch-metric-learning; if no query
    remains, the recall is NaN.

    :meth:`get_accuracy` takes embeddings of any length and returns ``{'recall_at_K': fraction}``
    with fractions in 0..1. Without ``reference`` the queries are their own gallery. Labels must
    be below 2**24: the base class holds them as float32.

    Args:
        ks: The cut-offs K. Default (1, 2, 4, 8). The search retrieves ``max(ks)`` images, never
            the whole gallery.
        knn_func: A search with the signature of :class:`CosineKNN`. Default ``CosineKNN()``.
        device: Where the embeddings are put. Default 'cpu', which keeps the search in full fp32
            whatever the CUDA matmul precision is set to.

    Raises:
        ValueError: If a cut-off is not a positive integer, or (on evaluation) exceeds the number
            of gallery images a query can be compared with.
    """

    def __init__(
        self,
        ks: int | Sequence[int] = (1, 2, 4, 8),
        knn_func: Callable[..., tuple[Tensor, Tensor]] | None = None,
        device: str | torch.device = 'cpu',
    ) -> None:
        self.ks = check_ks(ks)
        self.recall_names = [f'recall_at_{k}' for k in self.ks]
        # The base class collects its metrics from the attributes named calculate_*.
        for name, k in zip(self.recall_names, self.ks, strict=True):
            setattr(self, f'calculate_{name}', partial(self._recall, k))
        super().__init__(
            include=self.recall_names,
            k=max(self.ks),
            # With a function of ours the base class counts a class at a time; with its own it
            # makes a (classes, M) int64 table: 5.5 GB for the 11,316 classes of SOP's test half.
            label_comparison_fn=_same_label,
            device=torch.device(device),
            knn_func=CosineKNN() if knn_func is None else knn_func,
        )

    def requires_knn(self) -> list[str]:
        """Names of the metrics that need the nearest neighbours."""
        return [*super().requires_knn(), *self.recall_names]

    def determine_k(
        self, bin_counts: Tensor, num_reference_embeddings: int, ref_includes_query: bool
    ) -> int:
        """Number of neighbours to retrieve, checked against the gallery.

        Args:
            bin_counts: Gallery images of each query class, (classes,).
            num_reference_embeddings: Gallery size.
            ref_includes_query: Whether each query is in the gallery.

        Raises:
            ValueError: If the gallery is too small.
        """
        k = super().determine_k(bin_counts, num_reference_embeddings, ref_includes_query)
        _check_gallery(k, num_reference_embeddings, ref_includes_query)
        return k

    def _recall(
        self,
        k: int,
        knn_labels: Tensor,
        query_labels: Tensor,
        not_lone_query_mask: Tensor,
        **kwargs: Any,
    ) -> float:
        hits = self.label_comparison_fn(query_labels[:, None], knn_labels[:, :k])  # (N, k)
        return hits.any(dim=1)[not_lone_query_mask].double().mean().item()


def _same_label(labels: Tensor, others: Tensor) -> Tensor:
    return labels == others


def _check_gallery(k: int, size: int, includes_query: bool) -> None:
    # Beyond its size faiss pads with row -1, which would be read as the last gallery image.
    if k > size - includes_query:
        without = ' (the query itself excluded)' if includes_query else ''
        raise ValueError(
            f'cannot retrieve K = {k} images from a gallery of {size - includes_query}{without}: '
            'lower K or evaluate on more images'
        )
