"""From queries to hits: their embeddings, what is asked of them, and the answers."""

import re
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dva_mm.evaluation.rerank import check_rerank

from .images import name_of
from .rank import rank
from .where import check_where

if TYPE_CHECKING:
    from .index import Index

MANY = 64
"""More images than these are read by workers, with a progress bar."""


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
    failures: list[tuple[int, str]] = []
    """Place and reason of each query that cannot be read; its vector is zero."""


def embed_queries(index: 'Index', queries: Any, exclude_self: bool) -> Queries:
    """Embed what :meth:`Index.search` is asked; ids of items take their vectors.

    Raises:
        ValueError: If embeddings have another width, or an id is no item's.
    """
    storage = index.storage
    if (given := _given_embeddings(queries, index.dims)) is not None:
        return given
    is_image = isinstance(queries, str | bytes | PathLike | Image.Image) or (
        isinstance(queries, np.ndarray) and queries.ndim < 4
    )
    single = is_image or not isinstance(queries, Iterable)
    asked = [queries] if single else list(queries)
    is_id = np.array([isinstance(query, int | np.integer) for query in asked], dtype=bool)
    ids = [int(query) for query, known in zip(asked, is_id, strict=True) if known]
    if missing := set(ids) - storage.items(ids).keys():
        raise ValueError(f'there is no item {min(missing)} in {storage}')
    vectors = np.zeros((len(asked), index.dims), np.float32)
    vectors[is_id] = storage.vectors(ids)
    failures = _embed_images(index, asked, np.flatnonzero(~is_id), vectors)
    own: list[int | None] = [None] * len(asked)
    if exclude_self:
        for row, query in enumerate(asked):
            if is_id[row]:
                own[row] = int(query)
            elif not isinstance(query, np.ndarray) and isinstance(query, str | bytes | PathLike):
                own[row] = next(iter(storage.select(dict(path=query))), None)
    return Queries(vectors, own, single, failures)


def _given_embeddings(queries: Any, dims: int) -> Queries | None:
    """Embeddings of any length, (Q, D) or (D,), or a list of them; None where it is none."""
    if isinstance(queries, list | tuple) and queries:
        rows = [_floats(row) for row in queries]
        if all(row is not None and row.ndim == 1 for row in rows):
            queries = np.stack(rows)
    values = _floats(queries)
    if values is None:
        return None
    vectors = np.atleast_2d(values).astype(np.float32)
    if vectors.ndim > 2:
        raise ValueError(
            f'queries of floats are embeddings (Q, D), got {values.shape}; images are uint8'
        )
    if vectors.shape[1] != dims:
        raise ValueError(
            f'queries have {vectors.shape[1]} values, the index has {dims}: they are of another '
            'model'
        )
    if not np.isfinite(vectors).all():
        raise ValueError('queries have values that are nan or infinite')
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return Queries(vectors / np.maximum(norms, 1e-12), [None] * len(vectors), values.ndim == 1)


def _floats(values: Any) -> np.ndarray | None:
    if isinstance(values, torch.Tensor) and values.is_floating_point():
        return values.detach().float().cpu().numpy()
    return values if isinstance(values, np.ndarray) and values.dtype.kind == 'f' else None


def _embed_images(
    index: 'Index', asked: list[Any], rows: np.ndarray, vectors: np.ndarray
) -> list[tuple[int, str]]:
    """Fill in the vectors of the queries that are images; gives those that cannot be read."""
    if not len(rows):
        return []
    failures = []
    many = len(rows) > MANY
    stream = index.retriever.stream(
        [asked[row] for row in rows], workers=2 if many else 0, flip=index.flip
    )
    with tqdm(total=len(rows), desc='embed', unit='image', disable=not many) as bar:
        for batch in stream:
            vectors[rows[batch.rows]] = batch.embeddings
            failures += [(int(rows[place]), reason) for place, reason in batch.failures]
            bar.update(len(batch.rows) + len(batch.failures))
    return failures


def search(
    index: 'Index',
    queries: Any,
    k: int | None = 10,
    where: dict[str, Any] | None = None,
    exclude_self: bool = False,
    min_score: float | None = None,
    exact: bool = False,
    nprobe: int | None = None,
    rerank: str | dict[str, Any] | None = None,
    unreadable: list[tuple[int, str]] | None = None,
) -> list[Hit] | list[list[Hit]]:
    """Answer queries; see :meth:`Index.search`."""
    if k is None and (min_score is None or rerank is not None):
        raise ValueError('k=None takes all hits of at least min_score, without rerank')
    if k is not None and (not isinstance(k, int | np.integer) or k < 1):
        raise ValueError(f'k must be a positive integer, got {k!r}')
    check_where(index.storage, where)
    check_nprobe(index.state['factory'], nprobe)
    rerank = check_rerank(rerank)
    queries = list(queries) if isinstance(queries, Iterator) else queries
    asked = embed_queries(index, queries, exclude_self)
    if asked.failures and unreadable is None:
        row, reason = asked.failures[0]
        name = name_of(queries if asked.single else queries[row], row)
        raise ValueError(f'{name} cannot be read: {reason}')
    if k is None:
        found = index.storage.search_range(asked.vectors, min_score, where)
    else:
        options = dict(where=where, exact=exact, nprobe=nprobe)
        found = rank(index, asked, k, rerank, options)
    answers = [
        hits(index.storage, scores, ids, k, own, min_score)
        for (scores, ids), own in zip(found, asked.own, strict=True)
    ]
    for row, reason in asked.failures:
        answers[row] = []
        unreadable.append((row, reason))
    return answers[0] if asked.single else answers


def check_nprobe(factory: str | None, nprobe: int | None) -> None:
    """Refuse lists to look into where an index has none.

    Raises:
        ValueError: If ``nprobe`` is given and the index is of another kind, or it is not positive.
    """
    if nprobe is None:
        return
    if not re.search('IVF|IMI|SCANN', factory or ''):
        kind = f'made with factory={factory!r}' if factory else 'an exact index'
        raise ValueError(f'nprobe={nprobe} is of an IVF index, this is {kind}: leave it out')
    if nprobe < 1:
        raise ValueError(f'nprobe must be positive, got {nprobe}')


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
