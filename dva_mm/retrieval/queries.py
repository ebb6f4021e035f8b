"""From queries to hits: their embeddings, the ranking, and ranking better."""

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dva_mm.evaluation.rerank import augment_gallery, expand_queries, k_reciprocal_distances

from .faiss_store import FaissStore

if TYPE_CHECKING:
    from .index import Index

BLOCK = 1024
"""Vectors whose neighbours are held at a time."""


class Hit(NamedTuple):
    """One answer to a query."""

    rank: int
    """From 1."""
    score: float
    """Cosine with the query, -1..1; of a re-ranked search, what it ranks by (larger is nearer)."""
    path: str | None
    """The image file; None of an image that was given in memory."""
    id: int
    """Number of the item in the index."""
    label: str | None
    metadata: dict[str, Any]


class Queries(NamedTuple):
    """What was asked."""

    vectors: np.ndarray
    """(Q, D) of unit length."""
    own: list[int | None]
    """Id of each query's own item, where that is to be left out."""
    single: bool
    """Whether one query was asked, rather than a list."""


def embed_queries(index: 'Index', queries: Any, exclude_self: bool) -> Queries:
    """Embed what :meth:`Index.search` is asked; ids of items take their vectors.

    Raises:
        ValueError: If a query cannot be read, has another width, or is no item's id.
    """
    storage = index.storage
    if isinstance(queries, np.ndarray) and queries.dtype.kind == 'f':
        vectors = np.atleast_2d(queries).astype(np.float32)
        if vectors.shape[1] != index.dims:
            raise ValueError(
                f'queries have {vectors.shape[1]} values, the index has {index.dims}: they are '
                'of another model'
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Queries(vectors / np.maximum(norms, 1e-12), [None] * len(vectors), queries.ndim == 1)
    single = not isinstance(queries, list | tuple)
    asked = [queries] if single else list(queries)
    is_id = np.array([isinstance(query, int | np.integer) for query in asked], dtype=bool)
    images = [query for query, known in zip(asked, is_id, strict=True) if not known]
    ids = [int(query) for query, known in zip(asked, is_id, strict=True) if known]
    if missing := set(ids) - storage.items(ids).keys():
        raise ValueError(f'there is no item {min(missing)} in {storage}')
    vectors = np.empty((len(asked), index.dims), np.float32)
    vectors[is_id] = storage.vectors(ids)
    if images:
        options = dict(workers=2 if len(images) > 64 else 0, progress=len(images) > 64)
        vectors[~is_id] = index.retriever.encode(images, flip=index.flip, **options)
    own: list[int | None] = [None] * len(asked)
    if exclude_self:
        for row, query in enumerate(asked):
            if is_id[row]:
                own[row] = int(query)
            elif not isinstance(query, np.ndarray) and isinstance(query, str | bytes | PathLike):
                own[row] = next(iter(storage.select(dict(path=query))), None)
    return Queries(vectors, own, single)


def rank(
    index: 'Index', asked: Queries, k: int, rerank: dict[str, Any] | None, options: dict[str, Any]
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


def hits(
    storage: Any,
    scores: np.ndarray,
    ids: np.ndarray,
    k: int | None,
    own: int | None,
    min_score: float | None,
) -> list[Hit]:
    """The first ``k`` neighbours of a query that are to be shown, with their items."""
    good = (ids >= 0) & (ids != (-1 if own is None else own))
    if min_score is not None:
        good &= scores >= min_score
    scores, ids = scores[good], ids[good]
    order = np.lexsort((ids, -scores))[:k]  # copies of an image in a fixed order
    scores, ids = scores[order].tolist(), ids[order].tolist()
    items = storage.items(ids)
    found = [(score, items[i]) for score, i in zip(scores, ids, strict=True) if i in items]
    return [
        Hit(number, score, item.path, item.id, item.label, item.metadata)
        for number, (score, item) in enumerate(found, 1)
    ]
