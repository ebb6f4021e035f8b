"""Figures of ranked results as pure functions: one value, 0..1, for each query.

``hits`` (N, K), boolean, says whether each of the K nearest images of each of N queries, nearest
first, is a right answer: of the query's class. ``num_right`` (N,) is R, the number of right answers
that the gallery holds for each query. Results are (N,) float64.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

MAX_ENTRIES = 2**20  # hits taken at a time: MAP@R needs some 40 bytes for each


def recall_at_k(hits: Tensor, k: int) -> Tensor:
    """Recall@K: 1 if a right answer is among the K = ``k`` nearest images, else 0.

    Song et al., "Deep Metric Learning via Lifted Structured Feature Embedding",
    https://arxiv.org/abs/1511.06452.

    >>> recall_at_k(torch.tensor([[False, True, True], [False, False, True]]), k=2)
    tensor([1., 0.], dtype=torch.float64)
    """
    return hits[:, :k].any(dim=1).double()


def precision_at_1(hits: Tensor) -> Tensor:
    """1 if the nearest image is a right answer, else 0; the same as Recall@1.

    >>> precision_at_1(torch.tensor([[False, True], [True, False]]))
    tensor([0., 1.], dtype=torch.float64)
    """
    return hits[:, 0].double()


def mrr(hits: Tensor) -> Tensor:
    """Reciprocal rank, 1 / rank of the first right answer; 0 without one among the K nearest.

    Voorhees, "The TREC-8 Question Answering Track Report", 1999.

    >>> mrr(torch.tensor([[False, True, True], [False, False, False]]))
    tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    return hits.any(dim=1) / (hits.byte().argmax(dim=1) + 1).double()


def r_precision(hits: Tensor, num_right: Tensor) -> Tensor:
    """R-precision, the share of right answers among the R nearest images; NaN where R is 0.

    Musgrave et al., "A Metric Learning Reality Check", https://arxiv.org/abs/2003.08505. ValueError
    if K is smaller than the largest R.

    >>> r_precision(torch.tensor([[False, True, True], [True, False, True]]), torch.tensor([3, 2]))
    tensor([0.6667, 0.5000], dtype=torch.float64)
    """
    return torch.cat([right.sum(1) for right, _ in _within_r(hits, num_right)]) / num_right.double()


def map_at_r(hits: Tensor, num_right: Tensor) -> Tensor:
    """MAP@R = 1/R sum over i = 1..R of P_i [the i-th answer is right]; NaN where R is 0.

    P_i is the share of right answers among the i nearest. Paper and errors as of
    :func:`r_precision`.

    >>> map_at_r(torch.tensor([[False, True, True], [True, False, True]]), torch.tensor([3, 2]))
    tensor([0.3889, 0.5000], dtype=torch.float64)
    """
    sums = []
    for right, ranks in _within_r(hits, num_right):
        precision = right.cumsum(dim=1, dtype=torch.int32) / ranks  # (n, largest R) float64
        sums.append(precision.mul_(right).sum(dim=1))
    return torch.cat(sums) / num_right.double()


def _within_r(hits: Tensor, num_right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Right answers among the first R, (n, largest R), some queries at a time, and the ranks."""
    width = int(num_right.max()) if len(num_right) else 0
    if width > hits.shape[1]:
        raise ValueError(f'{hits.shape[1]} hits of each query are fewer than R = {width}')
    ranks = torch.arange(1, width + 1, dtype=torch.float64, device=hits.device)
    size = max(1, MAX_ENTRIES // max(1, width))
    for part, right in zip(hits[:, :width].split(size), num_right.split(size), strict=True):
        yield part & (ranks <= right[:, None]), ranks
