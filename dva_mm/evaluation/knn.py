"""Exact nearest neighbours by cosine similarity, in bounded memory."""

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

try:
    import faiss
except ModuleNotFoundError:  # faiss is optional: the torch search is exact too, only slower
    faiss = None

GPU_MAX_K = 2048  # what faiss can select on a GPU


class CosineKNN:
    """Exact k nearest neighbours by cosine similarity, in fp32.

    Usable wherever pytorch-metric-learning takes a ``knn_func``. Both searches work on a block of
    queries at a time: beside the result, the normalised embeddings and faiss' copy of the gallery
    nothing grows with the number of queries, and the (N, M) similarities are never held. The order
    among equal similarities is up to the search. A search of some seconds shows its progress.

    Args:
        backend: ``'faiss'``, ``'torch'``, or ``'auto'``: faiss where it is installed, else torch;
            torch as well for tensors on a GPU that faiss cannot use. faiss itself runs on the GPU
            where it sees one, up to its limit of 2048 neighbours, else on the CPU.
        chunk_size: Queries compared at a time. The largest temporary is (chunk_size, M) with
            torch and (chunk_size, k + 1) with faiss. Default None: 512 with torch, 4096 with faiss.

    Raises:
        ValueError: If ``backend`` is unknown, faiss is asked for but not installed, or
            ``chunk_size`` is below 1.
    """

    def __init__(self, backend: str = 'auto', chunk_size: int | None = None) -> None:
        if backend not in ('auto', 'faiss', 'torch'):
            raise ValueError(f"backend must be 'auto', 'faiss' or 'torch', got {backend!r}")
        if backend == 'faiss' and faiss is None:
            raise ValueError(
                "backend='faiss' needs faiss: install faiss-cpu or faiss-gpu, or use 'torch'"
            )
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
        self.backend = backend
        self.chunk_size = chunk_size

    @torch.no_grad()
    def __call__(
        self, query: Tensor, k: int, reference: Tensor, ref_includes_query: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Search the gallery.

        Args:
            query: (N, C) embeddings, of any length.
            k: Neighbours per query.
            reference: (M, C) gallery embeddings, of any length.
            ref_includes_query: The first N gallery rows are the queries, in the same order; then
                no query is found as its own neighbour.

        Returns:
            Similarities (N, k), descending, and gallery row numbers (N, k) as int32.

        Raises:
            ValueError: If the gallery has fewer than ``k`` images to offer to a query.
        """
        check_gallery(k, len(reference), ref_includes_query)
        size, device = len(query), query.device
        gallery = F.normalize(reference.float(), dim=1)  # (M, C)
        query = gallery[:size] if ref_includes_query else F.normalize(query.float(), dim=1)
        if uses_faiss(self.backend, query.is_cuda):
            find, index = _find_with_faiss, make_index(gallery, k + ref_includes_query)
            step = self.chunk_size or 4096
        else:
            find, index = _find_with_torch, gallery
            step = self.chunk_size or 512

        similarities = torch.empty(size, k, device=device)
        rows = torch.empty(size, k, dtype=torch.int32, device=device)
        blocks = range(0, size, step)
        for start in tqdm(
            blocks, desc='Retrieval', unit='block', delay=5, mininterval=1, leave=False
        ):
            block = query[start : start + step]
            own = torch.arange(start, start + len(block), device=device)
            found = find(block, k, index, own if ref_includes_query else None)
            similarities[start : start + len(block)], rows[start : start + len(block)] = found
        return similarities, rows


def check_gallery(k: int, size: int, includes_query: bool) -> None:
    """Refuse to retrieve more images than there are.

    Args:
        k: Images to retrieve per query.
        size: Gallery size.
        includes_query: Whether each query is in the gallery.

    Raises:
        ValueError: If ``k`` exceeds the images that a query can be compared with.
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
    """Flat inner-product index of a gallery, on the GPU where faiss sees one.

    Args:
        gallery: (M, C) float32 embeddings.
        k: Most neighbours that will be asked of it; above 2048 the index stays on the CPU.
    """
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
    asked = k + (own is not None)
    found = index.search(query.cpu().numpy(), asked)
    similarities, rows = (torch.from_numpy(array).to(query.device) for array in found)
    if own is None:
        return similarities, rows
    is_own = rows == own[:, None]  # (B, k + 1)
    # Among more than k copies of a query the query itself can be missing: the last one goes.
    is_own[~is_own.any(dim=1), -1] = True
    return similarities[~is_own].view(-1, k), rows[~is_own].view(-1, k)
