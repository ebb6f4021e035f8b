"""What an index shows without a query: its own recall, duplicates and clusters."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .faiss_store import FaissStore, faiss

BLOCK = 1024
"""Vectors compared with all others at a time."""


def all_vectors(storage: Any) -> FaissStore:
    """All vectors of an index, in memory; those of a folder are there already."""
    store = getattr(storage, 'store', None)
    if store is None:
        store = FaissStore(storage.state['dims'])
        for ids, vectors in storage.blocks():
            store.add(vectors, ids)
    return store


def measure_recall(
    storage: Any, sample: int = 100, k: int = 10, nprobe: int | None = None
) -> dict[str, float]:
    """Compare the approximate index with exact search on vectors of its own.

    Args:
        storage: Of the index.
        sample: Number of vectors that are asked, drawn with a fixed seed. Defaults to 100.
        k: Neighbours compared. Defaults to 10.
        nprobe: Lists of an IVF index to look into. Defaults to None, see
            :meth:`FaissStore.search`.

    Returns:
        ``recall`` (share of the exact neighbours that are found), ``ms`` and ``exact_ms``
        (milliseconds of one query, median).

    Raises:
        ValueError: If the index is empty.
    """
    if not len(storage):
        raise ValueError(f'{storage} is empty: there is nothing to check')
    ids = np.concatenate([ids for ids, _ in storage.blocks()])
    rng = np.random.default_rng(0)
    vectors = storage.vectors(rng.choice(ids, min(sample, len(ids)), replace=False))
    k = min(k, len(ids))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    shared = 0
    for vector in vectors:
        found = {}
        for exact in (True, False):
            start = time.perf_counter()
            found[exact] = storage.search(vector[None], k, exact=exact, nprobe=nprobe)[1][0]
            seconds[exact].append(time.perf_counter() - start)
        shared += len(set(found[True]) & set(found[False]))
    return dict(
        recall=shared / (k * len(vectors)),
        ms=1e3 * float(np.median(seconds[False])),
        exact_ms=1e3 * float(np.median(seconds[True])),
    )


def duplicate_groups(store: FaissStore, threshold: float) -> list[list[int]]:
    """Groups of ids in which each vector is linked to another by at least a cosine.

    Args:
        store: The vectors.
        threshold: Least cosine of a link.

    Returns:
        Groups of two and more ids in ascending order, the largest group first.

    Raises:
        ValueError: If the threshold is no cosine.

    >>> store = FaissStore(2)
    >>> store.add(np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32), [3, 4, 5])
    >>> duplicate_groups(store, 0.99)
    [[3, 5]]
    """
    if not -1 <= threshold <= 1:
        raise ValueError(f'threshold must be a cosine, from -1 to 1, got {threshold}')
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = number = parent[parent[number]]
        return number

    for ids, vectors in store.blocks():
        for start in range(0, len(ids), BLOCK):
            found = store.search_range(vectors[start : start + BLOCK], threshold)
            numbers = ids[start : start + BLOCK].tolist()
            for number, (_, near) in zip(numbers, found, strict=True):
                for other in near.tolist():
                    if other > number:
                        parent[root(other)] = root(number)
    groups: dict[int, list[int]] = {}
    for number in parent:
        groups.setdefault(root(number), []).append(number)
    found = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def clusters(ids: Sequence[int], vectors: np.ndarray, k: int, seed: int = 0) -> list[list[int]]:
    """Sort vectors into clusters by faiss's spherical k-means.

    Args:
        ids: Of the vectors, N.
        vectors: (N, D) float32 of unit length.
        k: Number of clusters, at most N.
        seed: Of the start. Defaults to 0.

    Returns:
        Ids of each cluster, the largest cluster first, in each the one nearest to its mean first.

    Raises:
        ValueError: If there are fewer vectors than clusters.
    """
    if not 1 <= k <= len(ids):
        raise ValueError(f'k must lie between 1 and the {len(ids)} images, got {k}')
    means = faiss.Kmeans(
        vectors.shape[1], k, spherical=True, seed=seed, niter=25, min_points_per_centroid=1
    )
    means.train(vectors)
    scores, which = means.index.search(vectors, 1)
    found: list[list[int]] = [[] for _ in range(k)]
    for row in np.argsort(-scores[:, 0], kind='stable').tolist():
        found[int(which[row, 0])].append(int(ids[row]))
    return sorted(found, key=len, reverse=True)
