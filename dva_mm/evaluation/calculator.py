"""Recall@K and bounded memory for pytorch-metric-learning's ``AccuracyCalculator``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import FaissKMeans
from torch import Tensor

from .knn import CosineKNN, check_gallery, faiss

CLUSTERING = ('NMI', 'AMI')
UP_TO_R = ('mean_average_precision_at_r', 'r_precision')
METRICS = ('recall', *UP_TO_R, 'mean_reciprocal_rank', 'precision_at_1', *CLUSTERING)
MAX_ENTRIES = 2**20  # neighbours given to a formula at a time: MAP@R takes about 50 bytes for each


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


def check_metrics(metrics: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of metrics, each once, in the order of ``METRICS``.

    Args:
        metrics: One name or several.

    Raises:
        ValueError: If there is no name, one is unknown, or one needs faiss and it is missing.
    """
    asked = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = [name for name in asked if name not in METRICS]
    if unknown or not asked:
        raise ValueError(f'metrics must be one or more of {list(METRICS)}, got {metrics!r}')
    if faiss is None and set(asked) & set(CLUSTERING):
        raise ValueError(
            'NMI and AMI need the k-means of faiss: install faiss-cpu or faiss-gpu, or leave '
            'them out'
        )
    return tuple(name for name in METRICS if name in asked)


class RetrievalCalculator(AccuracyCalculator):
    """Recall@K beside the metrics of pytorch-metric-learning (PML), in bounded memory.

    With q a query of class y(q) and N_K(q) its K nearest gallery images by cosine, q left out:

        Recall@K = |{q : some g in N_K(q) has y(g) = y(q)}| / |{q}|

    Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    https://arxiv.org/abs/1511.06452. With R(q) the number of right answers in the gallery, and
    P_i(q) the share of right answers among the first i:

        R-precision = mean over q of P_R(q)
        MAP@R = mean over q of 1/R sum over i = 1..R of P_i(q) [the i-th answer is right]

    Musgrave et al., "A Metric Learning Reality Check", https://arxiv.org/abs/2003.08505. The mean
    reciprocal rank looks at the first ``max(ks)`` neighbours, whatever else is asked: a query
    without a right answer among them counts 0. NMI and AMI compare the classes of the queries
    with as many clusters of their unit-norm embeddings, by faiss' k-means with its fixed seed.

    Queries whose class has no other gallery image have no right answer. They are left out of every
    mean, as everywhere in PML, but not out of NMI and AMI; a mean over no query is NaN.

    :meth:`get_accuracy` takes embeddings of any length and returns one fraction, 0..1, for each
    metric, under PML's name or ``recall_at_K``. Without ``reference`` the queries are their own
    gallery. Labels must be below 2**24: the base class holds them as float32. The search retrieves
    what the metrics need, ``max(ks)`` or the largest R, never the whole gallery.

    Args:
        ks: The cut-offs K. Default (1, 2, 4, 8).
        include: Names out of 'recall' (every K), 'mean_average_precision_at_r', 'r_precision',
            'mean_reciprocal_rank', 'precision_at_1', 'NMI' and 'AMI'. Default ('recall',).
        knn_func: A search with the signature of :class:`CosineKNN`. Default ``CosineKNN()``.
        device: Where the embeddings are put. Default 'cpu', which keeps the search in full fp32
            whatever the CUDA matmul precision is set to.
        return_per_class: Return a list for each metric but NMI and AMI: the means of the classes
            that have answerable queries, by ascending label. Default False.

    Raises:
        ValueError: If a cut-off is not a positive integer, a metric is unknown, NMI or AMI are
            asked for without faiss, the device is not there, or (on evaluation) a cut-off exceeds
            the number of gallery images a query can be compared with.
    """

    def __init__(
        self,
        ks: int | Sequence[int] = (1, 2, 4, 8),
        include: str | Sequence[str] = ('recall',),
        knn_func: Callable[..., tuple[Tensor, Tensor]] | None = None,
        device: str | torch.device = 'cpu',
        return_per_class: bool = False,
    ) -> None:
        self.ks = check_ks(ks)
        names = check_metrics(include)
        self.recall_names = [f'recall_at_{k}' for k in self.ks]
        # The base class collects its metrics from the attributes named calculate_*.
        for name, k in zip(self.recall_names, self.ks, strict=True):
            setattr(self, f'calculate_{name}', partial(self._recall, k))
        recalls = self.recall_names if 'recall' in names else []
        # return_per_class stays off in the base class, whose tables of queries by classes take
        # 14 GB for 60,000 images of 30,000 classes.
        super().__init__(
            include=[*recalls, *(name for name in names if name != 'recall')],
            device=_check_device(device),
            knn_func=CosineKNN() if knn_func is None else knn_func,
            kmeans_func=FaissKMeans(niter=20, gpu=faiss is not None and faiss.get_num_gpus() > 0),
        )
        self.per_class = return_per_class
        # With a function of ours the base class counts a class at a time; with its own it makes a
        # (classes, M) int64 table: 5.5 GB for the 11,316 classes of SOP's test half. Its
        # constructor refuses one beside NMI and AMI, which would ignore it; equality they mean too.
        self.label_comparison_fn = _same_label

    def requires_knn(self) -> list[str]:
        """Names of the metrics that need the nearest neighbours."""
        return [*super().requires_knn(), 'mean_reciprocal_rank', *self.recall_names]

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
        k = 1
        for name in self.get_curr_metrics():
            if name in UP_TO_R:
                k = max(k, int(bin_counts.max()) - ref_includes_query)
            elif name in (*self.recall_names, 'mean_reciprocal_rank'):
                k = max(k, *self.ks)
        check_gallery(k, num_reference_embeddings, ref_includes_query)
        return k

    def calculate_precision_at_1(self, **kwargs: Any) -> float | list[float]:
        """Share of queries whose nearest image is of their class."""
        return self._class_by_class(super().calculate_precision_at_1, 1, **kwargs)

    def calculate_mean_reciprocal_rank(self, **kwargs: Any) -> float | list[float]:
        """Mean of 1 / rank of the first right answer, 0 beyond ``max(ks)``."""
        return self._class_by_class(super().calculate_mean_reciprocal_rank, max(self.ks), **kwargs)

    def calculate_r_precision(self, **kwargs: Any) -> float | list[float]:
        """Precision among as many neighbours as there are right answers."""
        return self._class_by_class(super().calculate_r_precision, None, **kwargs)

    def calculate_mean_average_precision_at_r(self, **kwargs: Any) -> float | list[float]:
        """Average precision among as many neighbours as there are right answers."""
        return self._class_by_class(super().calculate_mean_average_precision_at_r, None, **kwargs)

    def get_cluster_labels(self, query: Tensor, query_labels: Tensor, **kwargs: Any) -> Tensor:
        """Clusters of the unit-norm queries, (N,), as many as they have classes."""
        return super().get_cluster_labels(F.normalize(query, dim=1), query_labels, **kwargs)

    def _recall(
        self,
        k: int,
        knn_labels: Tensor,
        query_labels: Tensor,
        not_lone_query_mask: Tensor,
        **kwargs: Any,
    ) -> float | list[float]:
        hits = self.label_comparison_fn(query_labels[:, None], knn_labels[:, :k])  # (N, k)
        scores = hits.any(dim=1).double()
        return self._mean(scores[not_lone_query_mask], query_labels[not_lone_query_mask])

    def _class_by_class(
        self,
        formula: Callable[..., float],
        columns: int | None,
        knn_labels: Tensor,
        query_labels: Tensor,
        not_lone_query_mask: Tensor,
        label_counts: tuple[Tensor, Tensor],
        **kwargs: Any,
    ) -> float | list[float]:
        """Give a formula of PML some queries of one class at a time; columns None stands for R."""
        answerable = not_lone_query_mask.nonzero().flatten()
        rows = answerable[query_labels[answerable].argsort()]
        labels, sizes = query_labels[rows].unique_consecutive(return_counts=True)
        where = torch.searchsorted(label_counts[0], labels)
        scores = torch.empty(len(query_labels), dtype=torch.float64, device=rows.device)
        for i, group in zip(where, rows.split(sizes.tolist()), strict=True):
            own = tuple(part[i : i + 1] for part in label_counts)
            width = columns or int(own[1]) - kwargs['ref_includes_query']
            for part in group.split(max(1, MAX_ENTRIES // width)):
                # The mean of some queries stands for each: what follows averages it again.
                scores[part] = formula(
                    knn_labels=knn_labels[part, :width],
                    query_labels=query_labels[part],
                    not_lone_query_mask=not_lone_query_mask[part],
                    label_counts=own,
                    **kwargs,
                )
        return self._mean(scores[rows], query_labels[rows])

    def _mean(self, scores: Tensor, labels: Tensor) -> float | list[float]:
        if not self.per_class:
            return scores.mean().item()
        _, inverse = labels.unique(return_inverse=True)
        return (inverse.bincount(weights=scores) / inverse.bincount()).tolist()


def _same_label(labels: Tensor, others: Tensor) -> Tensor:
    return labels == others


def _check_device(device: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used: {error}; use 'cpu' or 'cuda'"
        ) from error
