"""Ranking better: query expansion, database augmentation and k-reciprocal re-ranking.

Pure functions on embeddings of unit length; each has an option in :meth:`Index.search`.
"""

import numpy as np


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def expand_queries(
    queries: np.ndarray, neighbours: np.ndarray, scores: np.ndarray, alpha: float = 3.0
) -> np.ndarray:
    r"""Average (weighted) query expansion: each query becomes the mean of itself and its hits.

    .. math::
        q' = \frac{q + \sum_i \max(s_i, 0)^\alpha\, g_i}{\lVert\cdot\rVert}

    Chum et al., ICCV 2007 (:math:`\alpha = 0`); Radenovic et al.,
    https://arxiv.org/abs/1711.02512 (:math:`\alpha` weights). Search again with the result.

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
    r"""Distances re-ranked by shared k-reciprocal neighbours.

    Zhong et al., CVPR 2017, https://arxiv.org/abs/1701.08398. With d the squared Euclidean
    distance over all images divided by each column's largest, R*(i) the k-reciprocal neighbours of
    i, extended by those of its members that overlap by two thirds, and V(i, j) = exp(-d) on R*(i),
    normalised and averaged over the k2 nearest:

    .. math::
        d^* = (1 - w) \Big(1 - \frac{\sum_j \min(V_{qj}, V_{gj})}
        {\sum_j \max(V_{qj}, V_{gj})}\Big) + w d

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
