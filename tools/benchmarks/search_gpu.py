"""Indexes of faiss on a GPU, for tools/benchmark_search.py --tasks gpu.

Without resources of a GPU the same indexes are built on the CPU, which tests what stands here.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.drawn_vectors import percentiles

from dva_mm.retrieval.faiss_store import faiss

K = 10
CELLS_TRIED = 64


def gpus() -> int:
    """The number of GPUs that faiss sees; of faiss-cpu 0."""
    return getattr(faiss, 'get_num_gpus', lambda: 0)()


def flat(dims: int, resources: Any) -> Any:
    if resources is None:
        return faiss.IndexFlatIP(dims)
    return faiss.GpuIndexFlatIP(resources, dims)


def cells(dims: int, count: int, resources: Any) -> Any:
    """IVF with about 4 sqrt(N) cells, a power of two, of which 64 are looked into."""
    number = max(1, 2 ** round(np.log2(4 * count**0.5)) if count >= 10_000 else count // 100)
    if resources is None:
        index = faiss.index_factory(dims, f'IVF{number},Flat', faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.GpuIndexIVFFlat(resources, dims, number, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = min(CELLS_TRIED, number)
    return index


def cagra(dims: int, resources: Any) -> Any:
    """A graph. Vectors have unit length, so that the nearest are those of the largest cosine."""
    return faiss.GpuIndexCagra(resources, dims, faiss.METRIC_L2, faiss.GpuIndexCagraConfig())


def compare(
    rows: np.ndarray, queries: np.ndarray, batch: int, resources: Any = None
) -> Iterator[tuple[str, dict[str, float]]]:
    """Name and figures of each index.

    Args:
        rows: (N, D) float32 of unit length.
        queries: (Q, D).
        batch: Queries at once, for the throughput.
        resources: faiss.StandardGpuResources, or None for a CPU.

    Yields:
        Seconds to build, p50 and p95 of one query in milliseconds, queries a second in batches,
        and the share of the flat index's ten nearest that it finds.
    """
    dims, exact = rows.shape[1], None
    makers = dict(flat=lambda: flat(dims, resources))
    makers['IVF'] = lambda: cells(dims, len(rows), resources)
    if hasattr(faiss, 'GpuIndexCagra') and resources is not None:
        makers['CAGRA'] = lambda: cagra(dims, resources)
    for name, make in makers.items():
        begun = time.perf_counter()
        index = make()
        index.train(rows)  # CAGRA's adds them too
        if index.ntotal == 0:
            index.add(rows)
        found = dict(build_s=time.perf_counter() - begun)
        found |= timed(lambda some, index=index: index.search(some, K)[1], queries, batch)
        ids = index.search(queries, K)[1]
        exact = ids if exact is None else exact
        found['recall'] = float((ids[:, :, None] == exact[:, None, :]).any(2).mean())
        yield name, found
        del index


def timed(search: Callable[[np.ndarray], object], queries: np.ndarray, batch: int) -> dict:
    """p50 and p95 of single queries, and the throughput of batches; the answers lie on the CPU."""
    p50, p95 = percentiles(lambda query: search(query[None]), queries)
    many = np.resize(queries, (batch, queries.shape[1]))
    search(many)
    rates = []
    for _ in range(3):
        begun = time.perf_counter()
        search(many)
        rates.append(batch / (time.perf_counter() - begun))
    return dict(p50_ms=p50, p95_ms=p95, queries_s=statistics.median(rates))
