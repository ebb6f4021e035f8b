"""Exact nearest neighbours among the rows of one matrix, each pair of rows compared once.

The matrix of similarities is symmetric: a tile of it serves the queries of its rows and those of
its columns. Of a tile, a query lists what reaches its bound, the similarity of the k-th nearest
image found so far; a list that is full is cut to its k nearest, which raises the bound.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

TILE = 1024  # rows and columns of a tile: 4 MB
ROWS = 64  # queries ranked at a time, so that temporaries stay in the cache
DENSE = 0.1  # beyond this share of a tile, ranking all of it costs less than picking entries


def find_among_themselves(
    unit: Tensor, k: int, tile: int = TILE, progress: Callable[[Iterable], Iterable] = iter
) -> tuple[Tensor, Tensor]:
    """Similarities (N, k), descending, and rows (N, k) int32 of the k nearest rows but the own.

    The order among equal similarities is up to the search. Tiles are shared out to as many threads
    as torch uses. Memory: 8 bytes for each of k + 64 (of a large k, k + 512) candidates a row,
    which hold the result too, and some 4 tile^2 a thread.

    Args:
        unit: Rows of unit length, (N, C) float32, on the CPU.
        k: Neighbours of each row, at most N - 1.
        tile: Rows compared at a time with as many others. Default 1024.
        progress: Wraps the rounds of tiles, as ``tqdm`` does. Default ``iter``: nothing is shown.

    >>> find_among_themselves(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), k=1)[1].tolist()
    [[2], [2], [1]]
    """
    lists = CandidateLists(len(unit), k)
    blocks = unit.split(tile)

    def compare(pair: tuple[int, int]) -> None:
        i, j = pair
        similarities = blocks[i] @ blocks[j].T  # (n, m)
        if i == j:
            similarities.fill_diagonal_(-torch.inf)
        else:
            lists.offer(j * tile, similarities.T.numpy(), i * tile)
        lists.offer(i * tile, similarities.numpy(), j * tile)

    count, threads = len(blocks), torch.get_num_threads()
    torch.set_num_threads(1)  # of each thread of the pool
    try:
        with ThreadPoolExecutor(threads) as pool:
            for number in progress(range(count)):
                # A round pairs each block with one other or itself: no two threads share a list.
                pairs = ((i, (number - i) % count) for i in range(count))
                list(pool.map(compare, (pair for pair in pairs if pair[0] <= pair[1])))
    finally:
        torch.set_num_threads(threads)
    return lists.ranked()


def pack(similarities: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """int64 keys of float32 similarities and rows that sort as the similarities do.

    >>> keys = pack(np.float32([-0.5, 0.25, 0.25]), np.array([7, 8, 9]))
    >>> keys.argsort().tolist(), [part.tolist() for part in unpack(keys)]
    ([0, 2, 1], [[-0.5, 0.25, 0.25], [7, 8, 9]])
    """
    bits = (similarities + np.float32(0)).view(np.int32)  # -0 becomes 0
    bits ^= (bits >> 31) & 0x7FFFFFFF  # of negative numbers, larger bits mean less
    return (bits.astype(np.int64) << 32) | (np.int64(0xFFFFFFFF) - rows)


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The float32 similarities and int32 rows of :func:`pack`."""
    bits = (keys >> 32).astype(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    return bits.view(np.float32), (0xFFFFFFFF - (keys & 0xFFFFFFFF)).astype(np.int32)


NOTHING = int(pack(np.float32([-np.inf]), np.zeros(1, dtype=np.int64))[0])


class CandidateLists:
    """For each of N queries, the keys of images that may be among its k nearest.

    >>> lists = CandidateLists(size=1, k=1)
    >>> lists.offer(0, np.float32([[0.25, 0.5]]), first=10)
    >>> [part.tolist() for part in lists.ranked()]
    [[[0.5]], [[11]]]
    """

    def __init__(self, size: int, k: int) -> None:
        self.k = k
        self.keys = np.full((size, k + min(max(64, k), 512)), NOTHING)
        self.lengths = np.zeros(size, dtype=np.int64)
        self.bounds = np.full(size, np.finfo(np.float32).min, dtype=np.float32)

    def offer(self, start: int, tile: np.ndarray, first: int) -> None:
        """Offer queries ``start``, ... the images ``first``, ... of these similarities (n, m)."""
        queries = slice(start, start + len(tile))
        reached = tile >= self.bounds[queries, None]  # (n, m)
        total = np.count_nonzero(reached)
        if total == 0:
            return
        if total <= DENSE * tile.size:
            of, images = _positions(reached)
            added = np.bincount(of, minlength=len(tile))
            if self._room(queries, added):
                keys = pack(tile[of, images], images + first)
                self._append(start, added, keys)
                return
        self._cut(queries)
        tile = torch.from_numpy(tile).contiguous().numpy()  # torch transposes quicker than numpy
        for low in range(0, len(tile), ROWS):
            self._rank(start + low, tile[low : low + ROWS], first)

    def ranked(self) -> tuple[Tensor, Tensor]:
        """Similarities (N, k), descending, and images (N, k), in the memory of the lists."""
        halves = self.keys[:, : self.k].view(np.int32).reshape(len(self.keys), self.k, 2)
        similarities, images = halves[..., 0].view(np.float32), halves[..., 1]
        for start in range(0, len(self.keys), ROWS):
            queries = slice(start, start + ROWS)
            self._cut(queries)
            keys = np.sort(self.keys[queries, : self.k], axis=1)[:, ::-1]
            similarities[queries], images[queries] = unpack(keys)
        return torch.from_numpy(similarities), torch.from_numpy(images)

    def _room(self, queries: slice, added: np.ndarray) -> bool:
        """Whether the lists hold so many more, if need be after a cut."""
        width = self.keys.shape[1]
        if (self.lengths[queries] + added).max() > width:
            self._cut(queries)
        return (self.lengths[queries] + added).max() <= width

    def _append(self, start: int, added: np.ndarray, keys: np.ndarray) -> None:
        """Append ``keys``, of ascending queries, ``added`` of each from ``start`` on."""
        queries = slice(start, start + len(added))
        ends = np.arange(start, queries.stop) * self.keys.shape[1] + self.lengths[queries]
        places = np.repeat(ends - (added.cumsum() - added), added) + np.arange(len(keys))
        self.keys.reshape(-1)[places] = keys
        self.lengths[queries] += added

    def _rank(self, start: int, tile: np.ndarray, first: int) -> None:
        """Merge the k nearest of a whole tile, whatever the bounds."""
        queries = slice(start, start + len(tile))
        skip = max(0, tile.shape[1] - self.k)
        images = np.argpartition(tile, skip, axis=1)[:, skip:]
        keys = pack(np.take_along_axis(tile, images, axis=1), images + first)
        held = self.keys[queries, : self.lengths[queries].max()]
        self._hold(queries, np.concatenate([held, keys], axis=1))

    def _cut(self, queries: slice) -> None:
        length = self.lengths[queries].max()
        if length > self.k:
            self._hold(queries, self.keys[queries, :length])

    def _hold(self, queries: slice, keys: np.ndarray) -> None:
        """Make the k largest keys the lists, and the k-th the bounds."""
        skip = keys.shape[1] - self.k
        if skip >= 0:
            keys = np.partition(keys, skip, axis=1)[:, skip:]
            worst = unpack(keys[:, 0])[0]
            self.bounds[queries] = np.maximum(self.bounds[queries], worst)
        self.keys[queries] = NOTHING
        self.keys[queries, : keys.shape[1]] = keys
        self.lengths[queries] = keys.shape[1]


def _positions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows, ascending, and columns of the true entries, read in the order of memory."""
    if mask.flags.c_contiguous:
        return np.divmod(np.flatnonzero(mask).astype(np.int32), np.int32(mask.shape[1]))
    columns, rows = np.divmod(np.flatnonzero(mask.T).astype(np.int32), np.int32(mask.shape[0]))
    order = rows.astype(np.min_scalar_type(mask.shape[0])).argsort(kind='stable')
    return rows[order], columns[order]
