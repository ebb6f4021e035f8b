"""The vectors of an index, in faiss: all of them exactly, and approximately where asked for."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dva_mm.evaluation.knn import faiss
from dva_mm.files import replace_atomically

from .faiss_files import keeps_ids, read_vectors

BLOCK = 65536
"""Vectors copied at a time."""


def need_faiss() -> None:
    """Raise ImportError, with the remedy, where faiss is not installed."""
    if faiss is None:
        raise ImportError(
            'an index needs faiss: pip install "dva_mm[cpu]" (faiss-cpu) or, with an NVIDIA GPU, '
            '"dva_mm[gpu]" (faiss-gpu); never both'
        )


class FaissStore:
    """Unit-norm vectors by id: an exact flat index, and one of faiss's approximate ones beside it.

    Args:
        dims: Width D of the vectors.
        factory: faiss's string of the approximate index, such as 'IVF4096,PQ64' or 'HNSW32'; None
            keeps the exact one alone.

    Raises:
        ValueError: If faiss does not know the factory.
        ImportError: If faiss is not installed.

    >>> store = FaissStore(2)
    >>> store.add(np.eye(2, dtype=np.float32), [7, 8])
    >>> store.search(np.eye(2, dtype=np.float32), 1)[1].tolist()
    [[7], [8]]
    """

    def __init__(self, dims: int, factory: str | None = None) -> None:
        need_faiss()
        self.dims = dims
        self.factory = factory
        self.exact = faiss.IndexIDMap2(faiss.IndexFlatIP(dims))
        self.approximate = None
        self.least = 0
        """Vectors that training the approximate index takes at least."""
        if factory is not None:
            made = self._make(factory)  # an unknown string fails here, before any long work
            ivf = faiss.try_extract_index_ivf(made)
            pq = getattr(faiss.downcast_index(made.index if ivf is None else ivf), 'pq', None)
            self.least = max(0 if ivf is None else ivf.nlist, 0 if pq is None else pq.ksub)

    def _make(self, factory: str) -> Any:
        try:
            index = faiss.index_factory(self.dims, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1]
            raise ValueError(f'factory {factory!r} is unknown to faiss: {reason}') from error
        return index if keeps_ids(index) else faiss.IndexIDMap2(index)

    def __len__(self) -> int:
        return self.exact.ntotal

    @property
    def ids(self) -> np.ndarray:
        """Ids of all vectors, (N,) int64, in the order they are stored in."""
        return faiss.vector_to_array(self.exact.id_map)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors by id, (N, D)."""
        if not len(ids):
            return np.empty((0, self.dims), np.float32)
        return _numpy(self.exact, 'reconstruct_batch')(np.asarray(ids, dtype=np.int64))

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids (B,) and vectors (B, D) of all vectors, block by block."""
        ids, flat = self.ids, faiss.downcast_index(self.exact.index)
        for start in range(0, len(ids), BLOCK):
            count = min(BLOCK, len(ids) - start)
            yield ids[start : start + count], _numpy(flat, 'reconstruct_n')(start, count)

    def add(self, vectors: np.ndarray, ids: Sequence[int]) -> None:
        """Add vectors, (B, D) float32, under ids that are not there yet."""
        if not len(ids):
            return
        ids = np.asarray(ids, dtype=np.int64)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        for index in (self.exact, self.approximate):
            if index is not None:
                index.add_with_ids(vectors, ids)

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors by id; an approximate index that cannot remove is built anew."""
        if not len(ids):
            return
        selector = faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64))
        self.exact.remove_ids(selector)
        if self.approximate is None:
            return
        # Behind IndexIDMap2, faiss removes rightly from flat codes alone; HNSW knows no removal.
        index = self.approximate
        if keeps_ids(index) or isinstance(faiss.downcast_index(index.index), faiss.IndexFlatCodes):
            index.remove_ids(selector)
        else:
            self.build()

    def build(self) -> None:
        """Train the approximate index on the vectors, and fill it.

        Raises:
            ValueError: If there are too few vectors to train it.
        """
        if self.factory is None or not len(self):
            self.approximate = None
            return
        index = self._make(self.factory)
        sample = self._sample(200_000)
        try:
            index.train(sample)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1]
            raise ValueError(
                f'factory {self.factory!r} cannot be trained on {len(self)} vectors: {reason}; '
                'take a smaller one, or none for exact search'
            ) from error
        for ids, vectors in self.blocks():
            index.add_with_ids(vectors, ids)
        self.approximate = index

    def _sample(self, count: int) -> np.ndarray:
        ids = self.ids
        if len(ids) > count:
            ids = np.random.default_rng(0).choice(ids, count, replace=False)
        return self.vectors(ids)

    def search(
        self,
        queries: np.ndarray,
        k: int,
        allowed: Sequence[int] | None = None,
        exact: bool = False,
        nprobe: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors by inner product.

        Args:
            queries: (Q, D) float32 of unit length.
            k: Neighbours a query.
            allowed: Ids to search among, always exactly. Defaults to None: all.
            exact: Search exactly though there is an approximate index. Defaults to False.
            nprobe: Lists of an IVF index to look into. Defaults to None: as many as make a 64th,
                at least 8.

        Returns:
            Scores (Q, k), falling, and ids (Q, k); where there are fewer, id -1.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if k < 1:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if allowed is not None:
            return _numpy(self.exact, 'search')(queries, k, params=_among(allowed))
        if exact or self.approximate is None:
            return self.exact.search(queries, k)
        inner = faiss.try_extract_index_ivf(self.approximate)
        if inner is not None:
            inner.nprobe = nprobe or min(inner.nlist, max(8, inner.nlist // 64))
        return self.approximate.search(queries, k)

    def search_range(
        self, queries: np.ndarray, score: float, allowed: Sequence[int] | None = None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each query, the scores (falling) and ids of all vectors with at least ``score``.

        Args:
            queries: (Q, D) float32 of unit length.
            score: Least inner product.
            allowed: Ids to search among. Defaults to None: all.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        least = float(np.nextafter(np.float32(score), np.float32(-np.inf)))
        params = None if allowed is None else _among(allowed)
        limits, scores, ids = _numpy(self.exact, 'range_search')(queries, least, params=params)
        found = []
        for first, last in zip(limits[:-1], limits[1:], strict=True):
            order = np.argsort(-scores[first:last], kind='stable')
            found.append((scores[first:last][order], ids[first:last][order]))
        return found

    def save(self, exact: str | Path, approximate: str | Path) -> None:
        """Write both indexes, each whole or not at all."""
        for index, file in ((self.exact, exact), (self.approximate, approximate)):
            if index is not None:
                with replace_atomically(file) as partial:
                    faiss.write_index(index, str(partial))

    @classmethod
    def open(
        cls, dims: int, factory: str | None, exact: Path, approximate: Path, mmap: bool = False
    ) -> 'FaissStore':
        """Read what :meth:`save` wrote.

        Args:
            dims, factory: As the store was made with.
            exact, approximate: The files.
            mmap: Map the files into memory instead of reading them. Defaults to False.

        Raises:
            ValueError: If a file is missing, damaged, or of other vectors.
        """
        store = cls(dims, factory)
        store.exact = read_vectors(exact, dims, mmap)
        if factory is not None and approximate.exists():
            store.approximate = read_vectors(approximate, dims, mmap)
        return store


def _among(ids: Sequence[int]) -> Any:
    return faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64)))


def _numpy(index: Any, method: str) -> Callable:
    """A method of a faiss index as it is on arrays.

    pytorch-metric-learning loads ``faiss.contrib.torch_utils``, which changes what the methods take
    and return, and keeps the originals under these names.
    """
    return getattr(index, f'{method}_numpy', getattr(index, method))
