"""Exact nearest neighbours by cosine similarity, in bounded memory."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from .symmetric import TILE, find_among_themselves

try:
    import faiss
except ModuleNotFoundError:  # faiss is optional: the torch search is exact too, only slower
    faiss = None

GPU_MAX_K = 2048  # what faiss can select on a GPU
ROWS = 4096  # embeddings normalised at a time


class CosineKNN:
    """Exact k nearest neighbours by cosine similarity, in fp32, a block of queries at a time.

    Usable wherever pytorch-metric-learning takes a ``knn_func``. Beside the result, only the
    normalised embeddings and faiss' copy of the gallery grow with their number. The order among
    equal similarities is up to the search. A search of some seconds shows its progress.

    Args:
        backend: ``'faiss'``, ``'torch'``, or ``'auto'``. On a CPU, 'auto' compares each pair once
            (:func:`~dva_mm.evaluation.symmetric.find_among_themselves`) where the queries are the
            gallery, as the same tensor. Else it is faiss where that is installed, or torch; torch
            as well for tensors on a GPU that faiss cannot use. faiss itself runs on the GPU where
            it sees one, up to its limit of 2048 neighbours, else on the CPU.
        chunk_size: Queries compared at a time. The largest temporary is (chunk_size, M) with
            torch, (chunk_size, k + 1) with faiss, (chunk_size, chunk_size) a thread where each pair
            is compared once. Default None: 512, 4096 and 1024.

    Raises:
        ValueError: If an option is wrong or faiss is asked for but not installed.

    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    >>> CosineKNN()(vectors, 1, vectors, ref_includes_query=True)[1].tolist()
    [[2], [2], [1]]
    """

    def __init__(self, backend: str = 'auto', chunk_size: int | None = None) -> None:
        if backend not in ('auto', 'faiss', 'torch'):
            raise ValueError(f"backend must be 'auto', 'faiss' or 'torch', got {backend!r}")
        if backend == 'faiss' and faiss is None:
            raise ValueError("backend='faiss' needs faiss-cpu or faiss-gpu; install one")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
        self.backend, self.chunk_size = backend, chunk_size

    @torch.no_grad()
    def __call__(
        self, query: Tensor, k: int, reference: Tensor, ref_includes_query: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Search the gallery, ``reference`` (M, C), for each ``query`` (N, C), of any precision.

        With ``ref_includes_query`` the first N gallery rows are the queries, in the same order, and
        no query finds its own row, also where it is another vector. Returns similarities (N, k),
        descending, and gallery row numbers (N, k) as int32. ValueError if the gallery has fewer
        than ``k`` images.
        """
        check_gallery(k, len(reference), ref_includes_query)
        size, device = len(query), query.device
        gallery = unit_norm(reference)  # (M, C)
        same = ref_includes_query and query.data_ptr() == reference.data_ptr()
        query = gallery[:size] if same else unit_norm(query)
        bar = dict(desc='Retrieval', unit='block', delay=5, mininterval=1, leave=False)
        on_gpu = query.is_cuda or (faiss is not None and faiss.get_num_gpus() > 0)
        if same and size == len(gallery) and self.backend == 'auto' and not on_gpu:
            return find_among_themselves(query, k, self.chunk_size or TILE, partial(tqdm, **bar))
        if uses_faiss(self.backend, query.is_cuda):
            find, index, step = _find_with_faiss, make_index(gallery, k + ref_includes_query), 4096
        else:
            find, index, step = _find_with_torch, gallery, 512
        step = self.chunk_size or step
        similarities = torch.empty(size, k, device=device)
        rows = torch.empty(size, k, dtype=torch.int32, device=device)
        for start in tqdm(range(0, size, step), **bar):
            end = min(start + step, size)
            own = torch.arange(start, end, device=device) if ref_includes_query else None
            similarities[start:end], rows[start:end] = find(query[start:end], k, index, own)
        return similarities, rows


def unit_norm(embeddings: Tensor) -> Tensor:
    """Divide embeddings (N, C) by their length, to (N, C) float32; a row of zeros stays.

    No square overflows or underflows: each row is first divided by a power of two, which is exact.

    >>> unit_norm(torch.tensor([[3e-40, 4e-40], [3e38, 0.0]]))
    tensor([[0.6000, 0.8000],
            [1.0000, 0.0000]])
    """
    unit = torch.empty(embeddings.shape, device=embeddings.device)
    for out, rows in zip(unit.split(ROWS), embeddings.split(ROWS), strict=True):
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        largest = torch.linalg.vector_norm(rows, ord=torch.inf, dim=1, keepdim=True)  # (n, 1)
        largest[largest == 0] = 1
        out.copy_(F.normalize(rows / (largest / (2 * torch.frexp(largest).mantissa)), dim=1))
    return unit


def check_gallery(k: int, size: int, includes_query: bool) -> None:
    """Raise ValueError if a gallery of ``size`` offers a query, itself left out, fewer than ``k``.

    >>> check_gallery(5, size=6, includes_query=True)
    """
    # Beyond its size faiss pads with row -1, which would be read as the last gallery image.
    if k > size - includes_query:
        without = ' (the query itself excluded)' if includes_query else ''
        raise ValueError(
            f'cannot retrieve K = {k} images from a gallery of {size - includes_query}{without}: '
            'lower K or evaluate on more images'
        )


def uses_faiss(backend: str, on_gpu: bool) -> bool:
    """Whether faiss does the search, for a backend and the place of the embeddings."""
    if backend != 'auto':
        return backend == 'faiss'
    return faiss is not None and (not on_gpu or faiss.get_num_gpus() > 0)


def make_index(gallery: Tensor, k: int) -> 'faiss.Index':
    """Flat inner-product index of (M, C) float32 for up to ``k`` neighbours, on a GPU if it can."""
    index = faiss.IndexFlatIP(gallery.shape[1])
    if faiss.get_num_gpus() > 0 and k <= GPU_MAX_K:
        # The defaults store and multiply in float32.
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(gallery.cpu().numpy())
    return index


def _find_with_torch(
    query: Tensor, k: int, gallery: Tensor, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    similarities = query @ gallery.T  # (B, M)
    if own is not None:
        similarities.scatter_(1, own[:, None], -torch.inf)
    return similarities.topk(k, dim=1)


def _find_with_faiss(
    query: Tensor, k: int, index: 'faiss.Index', own: Tensor | None
) -> tuple[Tensor, Tensor]:
    found = index.search(query.cpu().numpy(), k + (own is not None))
    similarities, rows = (torch.from_numpy(array).to(query.device) for array in found)
    if own is None:
        return similarities, rows
    is_own = rows == own[:, None]  # (B, k + 1)
    # Among more than k copies of a query the query itself can be missing: the last one goes.
    is_own[~is_own.any(dim=1), -1] = True
    return similarities[~is_own].view(-1, k), rows[~is_own].view(-1, k)
