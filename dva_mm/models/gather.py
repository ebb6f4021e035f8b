"""The batch of all processes, with gradients: a loss over ranks is the loss of one process."""

import torch
import torch.distributed as dist
from torch import Tensor


class _AllGather(torch.autograd.Function):
    """Concatenate every rank's rows; the gradient of the rows comes back from all ranks."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in _ranks()]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        ctx.sizes = [int(size) for size in sizes]
        longest = max(ctx.sizes)  # backends gather tensors of one shape
        padded = rows.new_zeros(longest, *rows.shape[1:])
        padded[: len(rows)] = rows
        gathered = [torch.empty_like(padded) for _ in _ranks()]
        dist.all_gather(gathered, padded)
        return torch.cat([part[:size] for part, size in zip(gathered, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        # The sum over ranks, which DistributedDataParallel's mean over ranks then undoes.
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # others may hold it too
        dist.all_reduce(gradient)
        start = sum(ctx.sizes[: dist.get_rank()])
        return gradient[start : start + ctx.sizes[dist.get_rank()]]


def _ranks() -> range:
    return range(dist.get_world_size())


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate a tensor's rows over all processes, in the order of their ranks.

    A loss computed on the result is the same on every rank. Its gradient through
    DistributedDataParallel, which averages over the ranks, is that of one process with the whole
    batch, for what lies before the gathering (the encoder) and after it (proxies) alike. So is
    the loss itself for terms whose number of rows differs between ranks.

    Args:
        rows: (B, ...), of any dtype; B may differ between ranks and be 0.

    Returns:
        (sum of all B, ...); ``rows`` itself in a single process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    return _AllGather.apply(rows)
