"""The nearest items of queries, and ranking them better."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dva_mm.evaluation.rerank import augment_gallery, expand_queries, k_reciprocal_distances

from .faiss_store import FaissStore

if TYPE_CHECKING:
    from .index import Index
    from .queries import Queries

BLOCK = 1024
"""Vectors whose neighbours are held at a time."""


def rank(
    index: 'Index', asked: 'Queries', k: int, rerank: dict[str, Any] | None, options: dict[str, Any]
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Scores, falling, and ids of the nearest items of each query.

    Args:
        index: To be searched.
        asked: The queries.
        k: Neighbours that are wanted; one more may come, of a query's own item.
        rerank: From :func:`check_rerank`.
        options: ``where``, ``exact`` and ``nprobe`` of :meth:`Index.search`.
    """
    storage = index.storage
    more = any(own is not None for own in asked.own)
    kind = None if rerank is None else rerank['type']
    if kind == 'KReciprocal':
        scores, ids = storage.search(asked.vectors, max(k, rerank['candidates']) + more, **options)
        rows = zip(asked.vectors, scores, ids, asked.own, strict=True)
        return [_k_reciprocal(storage, *row, rerank) for row in rows]
    vectors = asked.vectors
    if kind == 'AQE':
        scores, ids = storage.search(vectors, rerank['n'] + more, **options)
        own = np.array([-1 if own is None else own for own in asked.own])[:, None]
        near, scores = _first(storage, ids, scores, (ids >= 0) & (ids != own), rerank['n'])
        vectors = expand_queries(vectors, near, scores, rerank['alpha']).astype(np.float32)
    if kind == 'DBA':
        where = options['where']
        allowed = None if where is None else storage.select(where)
        count = len(storage) if allowed is None else len(allowed)
        store = _augmented(index, rerank['n'], rerank['alpha'])
        return zip(*store.search(vectors, min(k + more, count), allowed), strict=True)
    return zip(*storage.search(vectors, k + more, **options), strict=True)


def _first(
    storage: Any, ids: np.ndarray, scores: np.ndarray, good: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (Q, n, D) and scores of each row's first good neighbours; zero beyond their end."""
    order = np.argsort(~good, axis=1, kind='stable')[:, :n]
    ids, scores, good = (np.take_along_axis(a, order, 1) for a in (ids, scores, good))
    vectors = np.zeros((*ids.shape, storage.state['dims']), np.float32)
    vectors[good] = storage.vectors(ids[good])
    return vectors, np.where(good, scores, 0)


def _k_reciprocal(
    storage: Any,
    query: np.ndarray,
    scores: np.ndarray,
    ids: np.ndarray,
    own: int | None,
    rerank: dict[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """One query's candidates, re-ranked among themselves; what lies behind keeps its order."""
    good = (ids >= 0) & (ids != (-1 if own is None else own))
    scores, ids = scores[good], ids[good]
    count = min(len(ids), rerank['candidates'])
    if not count:
        return scores, ids
    gallery = storage.vectors(ids[:count])
    options = {name: rerank[name] for name in ('k1', 'k2', 'weight')}
    query_query, cosines = (query @ query).reshape(1, 1), (gallery @ query)[None]
    distances = k_reciprocal_distances(cosines, query_query, gallery @ gallery.T, **options)[0]
    order = np.argsort(distances, kind='stable')
    # Behind all candidates, the others count down from the largest distance.
    rest = 1 - distances.max() - 1e-6 * np.arange(1, len(ids) - count + 1)
    ranked = np.concatenate([1 - distances[order], rest]).astype(np.float32)
    return ranked, np.concatenate([ids[:count][order], ids[count:]])


def _augmented(index: 'Index', n: int, alpha: float) -> FaissStore:
    """The index with each vector drawn to its neighbours; kept until the index changes."""
    storage = index.storage
    key = (index.state['generation'], n, alpha)
    if key not in index.augmented:
        store = FaissStore(index.dims)
        for ids, vectors in storage.blocks():
            for start in range(0, len(ids), BLOCK):
                own, some = ids[start : start + BLOCK], vectors[start : start + BLOCK]
                scores, near = storage.search(some, n + 1)
                good = (near >= 0) & (near != own[:, None])
                store.add(
                    augment_gallery(some, *_first(storage, near, scores, good, n), alpha), own
                )
        index.augmented = {key: store}  # one at a time: it is as large as the index
    return index.augmented[key]
