"""Vectors in place of a model's, an index of them, and the time of single queries."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dva_mm.retrieval.folder import FolderStorage
from dva_mm.retrieval.staging import SHARD, Entry, Staging
from dva_mm.retrieval.state import new_state


class Vectors:
    """Stands in for a model: its 'images' are numbers of rows that are drawn when asked for."""

    fingerprint, name, origin = 'benchmark', 'benchmark', {}

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.centres = np.random.default_rng(0).normal(size=(1000, dims)).astype(np.float32)

    def draw(self, block: int, count: int) -> np.ndarray:
        """Unit-norm rows (count, dims) around a thousand centres."""
        rng = np.random.default_rng((1, block))
        rows = rng.standard_normal((count, self.dims), dtype=np.float32)
        rows += 1.5 * self.centres[rng.integers(0, 1000, count)]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_index(folder: Path, count: int, dims: int, factory: str | None = None) -> float:
    """An index of drawn vectors, through the files that extraction writes; seconds beyond that."""
    model = Vectors(dims)
    FolderStorage.create(folder, new_state(model, factory, False, None))
    storage = FolderStorage(folder)
    staging = Staging(storage.staging, model.fingerprint)
    kept, seconds = [], 0.0
    for start in range(0, count, SHARD):
        some = range(start, min(start + SHARD, count))
        entries = [Entry(None, f'/photos/{i // 1000}/{i}.jpg', 1, 1, 'a', {}) for i in some]
        rows = model.draw(start, len(some))
        begun = time.perf_counter()
        kept += zip(entries, staging.write(entries, rows), strict=True)
        seconds += time.perf_counter() - begun
    begun = time.perf_counter()
    with storage.writing():
        storage.commit(staging.blocks(kept), [])
        staging.clear()
    storage.close()
    return seconds + time.perf_counter() - begun


def percentiles(ask: Callable[[np.ndarray], object], queries: np.ndarray) -> tuple[float, float]:
    """p50 and p95 of one query, milliseconds."""
    ask(queries[0])
    times = []
    for query in queries:
        begun = time.perf_counter()
        ask(query)
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times), float(np.percentile(times, 95))
