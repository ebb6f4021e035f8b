"""What a model finds for each query, and how far down the first right answer comes."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .page import Answers

BLOCK = 512  # queries compared at a time
ENTRIES = 2**25  # similarities held at a time

Blocks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Gives the places (B,) and the vectors (B, D) of a gallery, block by block, at each call."""


def find_answers(
    name: str,
    queries: np.ndarray,
    gallery: np.ndarray | Blocks,
    query_labels: Sequence[int],
    gallery_labels: Sequence[int],
    k: int,
    own: Sequence[int] | None = None,
) -> Answers:
    """Rank a gallery for each query, exactly, by cosine in fp32, as RetrievalMetric does.

    Args:
        name: Of the model.
        queries: Unit-norm embeddings, (Q, D) float32.
        gallery: Unit-norm embeddings, (M, D) float32, or what gives them block by block: then they
            are never held as a whole.
        query_labels, gallery_labels: Classes, (Q,) and (M,); below 0 where unknown.
        k: Hits of each query; fewer where the gallery has not so many.
        own: Place of each query in the gallery, (Q,), which it does not find. Defaults to None:
            queries are none of the gallery.

    Returns:
        ``hits`` as places in the gallery, ``scores`` and ``first``.

    >>> vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    >>> found = find_answers('a', vectors, vectors, [0, 1, 0], [0, 1, 0], 1, own=[0, 1, 2])
    >>> found.hits, found.first
    ([[2], [2], [1]], [1, None, 2])
    """
    wanted = torch.as_tensor(np.asarray(query_labels))
    present = torch.as_tensor(np.asarray(gallery_labels))
    rows = torch.from_numpy(np.ascontiguousarray(queries))
    places = None if own is None else torch.as_tensor(np.asarray(own))
    blocks = gallery if callable(gallery) else lambda: [(np.arange(len(gallery)), gallery)]
    k = min(k, len(present) - (own is not None))
    top = torch.full((len(rows), k), -torch.inf)
    hits = torch.zeros(len(rows), k, dtype=torch.int64)
    best = torch.full((len(rows),), -torch.inf)  # of the nearest right one
    for some, block, similarities in _compare(rows, places, blocks):
        right = (wanted[some, None] == present[block]) & (wanted[some, None] >= 0)
        nearest = similarities.masked_fill(~right, -torch.inf).amax(dim=1)
        best[some] = torch.maximum(best[some], nearest)
        found = similarities.topk(min(k, len(block)), dim=1)
        both = torch.cat([top[some], found.values], dim=1)
        numbers = torch.cat([hits[some], block[found.indices]], dim=1)
        top[some], order = both.topk(k, dim=1)
        hits[some] = numbers.gather(1, order)
    is_right = (present[hits] == wanted[:, None]) & (wanted[:, None] >= 0) & top.isfinite()
    # Among equal scores topk has its own order: what it shows is what counts.
    place = is_right.int().argmax(dim=1)
    is_deeper = best.isfinite() & ~is_right.any(dim=1)
    if is_deeper.any():
        ahead = torch.zeros(len(rows), dtype=torch.int64)
        for some, _, similarities in _compare(rows, places, blocks):
            ahead[some] += (similarities > best[some, None]).sum(dim=1)
        place = torch.where(is_deeper, ahead.clamp(min=k), place)
    first = [
        rank + 1 if known else None
        for rank, known in zip(place.tolist(), best.isfinite().tolist(), strict=True)
    ]
    return Answers(name, hits.tolist(), top.tolist(), first)


def _compare(
    queries: Tensor, own: Tensor | None, blocks: Blocks
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some queries, the places of a block, and their cosines; -inf of a query with itself."""
    for places, vectors in blocks():
        block = torch.as_tensor(places)
        base = torch.from_numpy(np.ascontiguousarray(vectors)).T
        step = max(1, min(BLOCK, ENTRIES // max(1, len(block))))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            similarities = queries[some] @ base  # (queries, B)
            if own is not None:
                similarities.masked_fill_(own[some, None] == block, -torch.inf)
            yield some, block, similarities
