"""Ranking better: query expansion, database augmentation and k-reciprocal re-ranking.

Pure functions on embeddings of unit length, and the search that RetrievalMetric takes them by.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .knn import CosineKNN, unit_norm

BLOCK = 1024
"""Queries whose neighbours' vectors are held at a time."""
RERANK: dict[str, dict[str, Any]] = dict(
    AQE=dict(n=10, alpha=3.0),
    DBA=dict(n=10, alpha=3.0),
    KReciprocal=dict(k1=20, k2=6, weight=0.3, candidates=100),
)
"""Ways of ranking better, and the defaults of their options."""


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def expand_queries(
    queries: np.ndarray, neighbours: np.ndarray, scores: np.ndarray, alpha: float = 3.0
) -> np.ndarray:
    """Average (weighted) query expansion: each query becomes the mean of itself and its hits.

    With cosines s_i of the n nearest vectors g_i::

        q' = q + sum_i max(s_i, 0)^α g_i, divided by its length

    Chum et al., ICCV 2007 (α = 0); Radenovic et al., https://arxiv.org/abs/1711.02512 (α weights).
    Search again with the result.

    Args:
        queries: q, (Q, D).
        neighbours: g, the n nearest gallery vectors of each query, (Q, n, D).
        scores: s, their cosines, (Q, n).
        alpha: Power of the weights. Defaults to 3.

    Returns:
        (Q, D), of unit length.

    >>> q, g = np.array([[1.0, 0.0]]), np.array([[[0.0, 1.0]]])
    >>> expand_queries(q, g, np.array([[1.0]])).round(3).tolist()
    [[0.707, 0.707]]
    """
    weights = np.maximum(scores, 0) ** alpha
    return _unit(queries + np.einsum('qn,qnd->qd', weights, neighbours))  # n: hits of a query


def augment_gallery(
    gallery: np.ndarray, neighbours: np.ndarray, scores: np.ndarray, alpha: float = 3.0
) -> np.ndarray:
    """Database-side augmentation: :func:`expand_queries` of each gallery vector.

    Arandjelovic and Zisserman, CVPR 2012. Search the result with the queries as they are.

    Args:
        gallery: (N, D).
        neighbours: The n nearest others of each, (N, n, D).
        scores: Their cosines, (N, n).
        alpha: Power of the weights. Defaults to 3.

    >>> g = np.eye(2)
    >>> augment_gallery(g, g[:, None][::-1], np.zeros((2, 1))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return expand_queries(gallery, neighbours, scores, alpha)


def k_reciprocal_distances(
    query_gallery: np.ndarray,
    query_query: np.ndarray,
    gallery_gallery: np.ndarray,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
) -> np.ndarray:
    """Distances re-ranked by shared k-reciprocal neighbours.

    Zhong et al., CVPR 2017, https://arxiv.org/abs/1701.08398. With d the squared Euclidean
    distance over all images divided by each column's largest, R*(i) the k-reciprocal neighbours of
    i, extended by those of its members that overlap by two thirds, and V(i, j) = exp(-d) on R*(i),
    normalised and averaged over the k2 nearest::

        d* = (1 - w) (1 - sum_j min(V_qj, V_gj) / sum_j max(V_qj, V_gj)) + w d

    Args:
        query_gallery: Cosines, (Q, G).
        query_query: Cosines, (Q, Q).
        gallery_gallery: Cosines, (G, G); so G is a few thousand at most.
        k1: Size of the neighbourhoods. Defaults to 20.
        k2: Neighbourhoods averaged. Defaults to 6.
        weight: w, of the original distance. Defaults to 0.3.

    Returns:
        (Q, G), smaller is nearer.

    >>> one = np.ones((1, 1))
    >>> int(k_reciprocal_distances(np.array([[0.9, 0.1]]), one, np.eye(2), 1, 1).argmin())
    0
    """
    queries = len(query_gallery)
    cosines = np.block([[query_query, query_gallery], [query_gallery.T, gallery_gallery]])
    distances = np.maximum(2 - 2 * cosines, 0).astype(np.float32)  # (N, N), N = Q + G
    distances = (distances / np.maximum(distances.max(axis=0), 1e-12)).T
    order = distances.argsort(axis=1, kind='stable')
    count = len(distances)

    def reciprocal(i: int, k: int) -> np.ndarray:
        forward = order[i, : k + 1]
        return forward[(order[forward, : k + 1] == i).any(axis=1)]

    features = np.zeros_like(distances)  # V
    half = int(np.around(k1 / 2))
    for i in range(count):
        own = reciprocal(i, k1)
        extended = [own]
        for candidate in own:
            theirs = reciprocal(candidate, half)
            if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
                extended.append(theirs)
        members = np.unique(np.concatenate(extended))
        weights = np.exp(-distances[i, members])
        features[i, members] = weights / weights.sum()
    if k2 > 1:
        features = np.stack([features[order[i, :k2]].mean(axis=0) for i in range(count)])
    jaccard = np.empty((queries, count - queries), np.float32)
    for q in range(queries):
        shared = np.minimum(features[q], features[queries:]).sum(axis=1)
        jaccard[q] = 1 - shared / (2 - shared)
    return (1 - weight) * jaccard + weight * distances[:queries, queries:]


def check_rerank(rerank: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """The options with their defaults; a type alone may be given as a word.

    Raises:
        ValueError: If it is neither a word nor a dict, the type or an option is unknown, or not
            positive.

    >>> check_rerank(dict(type='AQE', n=5))
    {'type': 'AQE', 'n': 5, 'alpha': 3.0}
    """
    if rerank is None:
        return None
    if not isinstance(rerank, str | dict):
        raise ValueError(f"rerank must be one such as 'AQE' or dict(type='AQE', n=5), got {rerank}")
    options = dict(type=rerank) if isinstance(rerank, str) else dict(rerank)
    kind = options.pop('type', None)
    _known('rerank type', str(kind), RERANK)
    for name, value in options.items():
        _known(f'option of {kind}', name, RERANK[kind])
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f'{kind} {name} must be a number from 0, got {value!r}')
        if isinstance(RERANK[kind][name], int) and (value != int(value) or value < 1):
            raise ValueError(f'{kind} {name} must be a whole number from 1, got {value!r}')
    return dict(type=kind, **{**RERANK[kind], **options})


def _known(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        close = get_close_matches(name, names, 1, 0.4)
        hint = f'did you mean {close[0]!r}?' if close else f'known are {", ".join(names)}'
        raise ValueError(f'unknown {what} {name!r}; {hint}')


class RerankedKNN:
    """A ``knn_func`` of pytorch-metric-learning that ranks better than the cosine alone.

    Args:
        rerank: ``dict(type='AQE', n=10, alpha=3)``, ``dict(type='DBA', n=10, alpha=3)`` or
            ``dict(type='KReciprocal', k1=20, k2=6, weight=0.3, candidates=100)``, which orders the
            nearest candidates of each query among themselves.
        knn_func: The search below. Defaults to ``CosineKNN()``.

    Raises:
        ValueError: If the type or an option is unknown or out of range.

    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    >>> RerankedKNN(dict(type='AQE', n=1))(vectors, 1, vectors, ref_includes_query=True)[1].tolist()
    [[2], [2], [1]]
    """

    def __init__(self, rerank: dict[str, Any], knn_func: Callable | None = None) -> None:
        self.rerank = check_rerank(rerank)
        self.knn_func = knn_func or CosineKNN()

    def __call__(
        self, query: Tensor, k: int, reference: Tensor, ref_includes_query: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Search as :class:`CosineKNN`; the similarities are what the hits are ranked by."""
        options, size = self.rerank, len(reference) - ref_includes_query
        gallery, query = unit_norm(reference).cpu().numpy(), unit_norm(query)  # (M, C), (N, C)
        if options['type'] == 'KReciprocal':
            wanted = min(max(k, options['candidates']), size)
            scores, rows = self.knn_func(query, wanted, reference, ref_includes_query)
            return self._k_reciprocal(query, scores, rows, gallery, k)
        own = options['type'] == 'DBA'
        asking = unit_norm(reference) if own else query
        near = min(options['n'], len(reference) - (own or ref_includes_query))
        scores, rows = self.knn_func(asking, near, reference, own or ref_includes_query)
        parts = zip(asking.split(BLOCK), rows.cpu().split(BLOCK), scores.split(BLOCK), strict=True)
        drawn = np.concatenate(
            [
                expand_queries(
                    a.cpu().numpy(), gallery[r.numpy()], s.cpu().numpy(), options['alpha']
                )
                for a, r, s in parts
            ]
        )
        drawn = torch.from_numpy(drawn).to(query)
        found = (query, k, drawn) if own else (drawn, k, reference)
        return self.knn_func(*found, ref_includes_query)

    def _k_reciprocal(
        self, query: Tensor, scores: Tensor, rows: Tensor, gallery: np.ndarray, k: int
    ) -> tuple[Tensor, Tensor]:
        names = ('k1', 'k2', 'weight')
        options = {name: self.rerank[name] for name in names}
        count = min(self.rerank['candidates'], rows.shape[1])
        query, scores, rows = query.cpu().numpy(), scores.clone(), rows.clone()
        for i, own in enumerate(query):
            some = gallery[rows[i, :count].cpu().numpy()]  # (count, C)
            cosines, one = (some @ own)[None], np.ones((1, 1), np.float32)
            distances = k_reciprocal_distances(cosines, one, some @ some.T, **options)[0]
            order = torch.from_numpy(distances.argsort(kind='stable')).to(rows.device)
            rows[i, :count] = rows[i, :count][order]
            scores[i, :count] = 1 - torch.from_numpy(np.sort(distances)).to(scores)
        return scores[:, :k], rows[:, :k]
