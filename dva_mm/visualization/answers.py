"""What a model finds for each query, and how far down the first right answer comes."""

from collections.abc import Sequence

import numpy as np
import torch

from .page import Answers

BLOCK = 512  # queries compared at a time
ENTRIES = 2**25  # similarities held at a time


def find_answers(
    name: str,
    queries: np.ndarray,
    gallery: np.ndarray,
    query_labels: Sequence[int],
    gallery_labels: Sequence[int],
    k: int,
    own: Sequence[int] | None = None,
) -> Answers:
    """Rank a gallery for each query, exactly, by cosine in fp32, as RetrievalMetric does.

    Args:
        name: Of the model.
        queries: Unit-norm embeddings, (Q, D) float32.
        gallery: Unit-norm embeddings, (M, D) float32.
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
    base = torch.from_numpy(np.ascontiguousarray(gallery)).T
    k = min(k, len(gallery) - (own is not None))
    hits: list[list[int]] = []
    scores: list[list[float]] = []
    first: list[int | None] = []
    step = max(1, min(BLOCK, ENTRIES // max(1, len(gallery))))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        similarities = torch.from_numpy(np.ascontiguousarray(queries[rows])) @ base  # (B, M)
        if own is not None:
            mine = torch.as_tensor(np.asarray(own[rows]))[:, None]
            similarities.scatter_(1, mine, -torch.inf)
        top = similarities.topk(k, dim=1)
        right = (wanted[rows, None] == present) & (wanted[rows, None] >= 0)  # (B, M)
        best = similarities.masked_fill(~right, -torch.inf).amax(dim=1)  # (B,)
        ahead = (similarities > best[:, None]).sum(dim=1)
        found = right.gather(1, top.indices) & top.values.isfinite()
        # Among equal scores topk has its own order: what it shows is what counts.
        place = torch.where(found.any(dim=1), found.int().argmax(dim=1), ahead.clamp(min=k)) + 1
        hits += top.indices.tolist()
        scores += top.values.tolist()
        first += [
            rank if known else None
            for rank, known in zip(place.tolist(), best.isfinite().tolist(), strict=True)
        ]
    return Answers(name, hits, scores, first)
