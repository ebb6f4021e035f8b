"""Recall@K and bounded memory for pytorch-metric-learning's ``AccuracyCalculator``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import FaissKMeans
from torch import Tensor

from . import metrics
from .knn import CosineKNN, check_gallery, faiss, unit_norm

Figure = Callable[[Tensor, Tensor, int], Tensor]

# Names, PML's but for the first: the key in RetrievalMetric's results, and the figure of each query
# (N,), from hits (N, neighbours), right answers R (N,) and the cut-off K. PML computes the others.
METRICS: dict[str, tuple[str, Figure | None]] = {
    'recall': ('Recall@{}', lambda hits, right, k: metrics.recall_at_k(hits, k)),
    'mean_average_precision_at_r': ('MAP@R', lambda hits, right, k: metrics.map_at_r(hits, right)),
    'r_precision': ('R-precision', lambda hits, right, k: metrics.r_precision(hits, right)),
    'mean_reciprocal_rank': ('MRR@{}', lambda hits, right, k: metrics.mrr(hits[:, :k])),
    'precision_at_1': ('Precision@1', lambda hits, right, k: metrics.precision_at_1(hits)),
    'NMI': ('NMI', None),
    'AMI': ('AMI', None),
}
CLUSTERING = {'NMI', 'AMI'}
UP_TO_R = {'mean_average_precision_at_r', 'r_precision'}  # need as many neighbours as the largest R


class RetrievalCalculator(AccuracyCalculator):
    """PML's ``AccuracyCalculator`` over the functions of :mod:`dva_mm.evaluation.metrics`.

    It adds Recall@K, as ``recall_at_K``, searches no further than the figures need (``max(ks)`` or
    the largest R), never makes PML's tables of classes by images, and takes any integer labels.

    A query whose class has no other gallery image is left out of every mean, as in PML, but not out
    of NMI and AMI, which compare the queries' classes with as many k-means clusters of their
    directions. A mean over no query is NaN. The reciprocal rank is 0 beyond ``max(ks)`` neighbours.

    Args:
        ks: The cut-offs K. Default (1, 2, 4, 8).
        include: Names out of ``METRICS``; 'recall' stands for every K. Default ('recall',).
        knn_func: A search with the signature of :class:`CosineKNN`. Default ``CosineKNN()``.
        device: Where the embeddings are put. Default 'cpu', where no TF32 rounds the search.
        return_per_class: Return a list for each figure but NMI and AMI: the means of the classes
            that have answerable queries, by ascending label. Default False.

    Raises:
        ValueError: If an option is wrong, or (on evaluation) a cut-off exceeds the gallery.

    >>> vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.6, 0.8]])
    >>> RetrievalCalculator(ks=(1, 2)).get_accuracy(vectors, torch.tensor([0, 0, 1, 0]))
    {'recall_at_1': 0.6666666666666666, 'recall_at_2': 1.0}
    """

    def __init__(
        self,
        ks: int | Sequence[int] = (1, 2, 4, 8),
        include: str | Sequence[str] = ('recall',),
        knn_func: Callable[..., tuple[Tensor, Tensor]] | None = None,
        device: str | torch.device = 'cpu',
        return_per_class: bool = False,
    ) -> None:
        values = (ks,) if isinstance(ks, int) else tuple(ks)
        if not values or any(type(k) is not int or k < 1 for k in values):
            raise ValueError(f'K of Recall@K must be positive integers, e.g. (1, 2, 4), got {ks!r}')
        self.ks = tuple(sorted(set(values)))
        asked = {include} if isinstance(include, str) else set(include)
        if not asked or not asked <= METRICS.keys():
            raise ValueError(f'include must be one or more of {list(METRICS)}, got {include!r}')
        if faiss is None and asked & CLUSTERING:
            raise ValueError('NMI and AMI need faiss: install faiss-cpu or faiss-gpu, or drop them')
        try:
            device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device={device!r} cannot be used: {error}; use 'cpu'") from error
        self.keys: dict[str, str] = {}  # the key in RetrievalMetric's results of each figure
        for name in (name for name in METRICS if name in asked):
            key, figure = METRICS[name]
            for k in self.ks if name == 'recall' else self.ks[-1:]:
                pml_name = f'recall_at_{k}' if name == 'recall' else name
                self.keys[pml_name] = key.format(k)
                if figure:  # the base class finds its figures as attributes named calculate_*
                    setattr(self, f'calculate_{pml_name}', partial(self._mean, figure, k))
        super().__init__(
            include=[*self.keys],
            device=device,
            knn_func=knn_func or CosineKNN(),
            kmeans_func=FaissKMeans(niter=20, gpu=faiss is not None and faiss.get_num_gpus() > 0),
            return_per_class=return_per_class,
        )

    def get_accuracy(
        self,
        query: Tensor,
        query_labels: Tensor,
        reference: Tensor | None = None,
        reference_labels: Tensor | None = None,
        ref_includes_query: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> dict[str, float | list[float]]:
        """Compute the figures, each a fraction, 0..1, from (N, C) embeddings and (N,) labels.

        The arguments are PML's: without ``reference``, (M, C), the queries are their own gallery.
        """
        if reference is None:
            reference, reference_labels, ref_includes_query = query, query_labels, True
        parts = (query, query_labels, reference, reference_labels)
        query, labels, reference, answers = (torch.as_tensor(p).to(self.device) for p in parts)
        if len(query) != len(labels) or len(reference) != len(answers):
            raise ValueError(
                f'{len(query)} queries and {len(reference)} gallery embeddings have '
                f'{len(labels)} and {len(answers)} labels'
            )
        self.curr_function_dict = self.get_function_dict(include, exclude)
        names = self.curr_function_dict.keys()
        results = dict(query_labels=labels)
        if names - CLUSTERING:
            _, classes = torch.cat([labels, answers]).unique(return_inverse=True)
            own, answers = classes.split([len(labels), len(answers)])
            right = answers.bincount(minlength=len(classes))[own] - int(ref_includes_query)
            k = self.ks[-1] if names - CLUSTERING - UP_TO_R - {'precision_at_1'} else 1
            k = max(k, int(right.max())) if names & UP_TO_R else k
            check_gallery(k, len(reference), ref_includes_query)
            rows = self.knn_func(query, k, reference, ref_includes_query)[1]  # (N, k)
            asked = right > 0
            hits = _hits(rows[asked], own[asked], answers)
            results |= dict(hits=hits, right=right[asked], classes=own[asked])
        if names & CLUSTERING:
            results['cluster_labels'] = self.get_cluster_labels(unit_norm(query), labels)
        return self._get_accuracy(self.curr_function_dict, **results)

    def _mean(
        self, figure: Figure, k: int, hits: Tensor, right: Tensor, classes: Tensor, **_: Any
    ) -> float | list[float]:
        values = figure(hits, right, k)
        if not self.return_per_class:
            return values.mean().item()
        _, classes = classes.unique(return_inverse=True)
        return (classes.bincount(weights=values) / classes.bincount()).tolist()


def _hits(rows: Tensor, labels: Tensor, answers: Tensor) -> Tensor:
    """Whether each found row of the gallery is of the query's class, (N, k); a part at a time."""
    size = max(1, metrics.MAX_ENTRIES // rows.shape[1])
    parts = zip(rows.split(size), labels.split(size), strict=True)
    return torch.cat([answers[found] == own[:, None] for found, own in parts])
