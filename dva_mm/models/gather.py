"""The batch of all processes, with gradients: a loss over ranks is the loss of one process."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor


class _AllGather(torch.autograd.Function):
    """Concatenate every rank's rows; the gradient of the rows comes back from all ranks."""

    @staticmethod
    def forward(ctx, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])  # backends gather one shape
        padded[: len(rows)] = rows
        gathered = all_gather(padded)
        return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        # The sum over ranks, which DistributedDataParallel's mean over ranks then undoes.
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # not ours to change
        all_reduce(gradient)
        return gradient.split(ctx.sizes)[get_rank()], None


def gather_views(
    views: Sequence[Tensor], labels: Sequence[Tensor], num_classes: int | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Concatenate the rows of each view, and their labels, over all processes in rank order.

    A loss computed on the result is the same on every rank. Its gradient through
    DistributedDataParallel, which averages over the ranks, is that of one process with the whole
    batch, for what lies before the gathering (the encoder) and after it (proxies) alike.

    All views travel in one collective. Their sizes and the range of the labels travel in one
    before it, the only one that waits for the device; so all ranks raise where one has a bad label.
    A single process waits for nothing: labels that lie on a GPU are not read.

    >>> views, labels = gather_views([torch.ones(2, 3)], [torch.tensor([0, 4])], num_classes=5)
    >>> views[0].shape, labels[0].tolist()
    (torch.Size([2, 3]), [0, 4])

    Args:
        views: (B_i, C) each, of one dtype; B_i may differ between views and ranks and be 0.
        labels: (B_i,) each, int64, below 2^24.
        num_classes: Number of classes that labels must be below; None (the default) does not ask.

    Returns:
        Views and labels, (sum of all B_i, ...); the given ones in a single process.

    Raises:
        ValueError: if a label is negative or not below ``num_classes``.
    """
    every = torch.cat(list(labels))
    if get_world_size() == 1:
        if every.device.type == 'cpu':
            check_labels(every, num_classes)
        return list(views), list(labels)
    bounds = torch.stack(every.aminmax()) if len(every) else every.new_zeros(2)
    report = torch.cat([bounds, bounds.new_tensor([len(view) for view in views])])
    table = torch.stack(all_gather(report)).tolist()  # one row a rank: lowest, highest, sizes
    check_labels(torch.tensor([bound for row in table for bound in row[:2]]), num_classes)
    pairs = zip(views, labels, strict=True)
    packed = torch.cat([torch.cat((v, y[:, None].to(v.dtype)), dim=1) for v, y in pairs])
    rows = _AllGather.apply(packed, [sum(row[2:]) for row in table])  # (..., C + 1)
    parts = rows.split([size for row in table for size in row[2:]])
    gathered = [torch.cat(parts[i :: len(views)]) for i in range(len(views))]
    return [g[:, :-1] for g in gathered], [g[:, -1].detach().long() for g in gathered]


def check_labels(labels: Tensor, num_classes: int | None = None) -> None:
    """Raise ValueError if a label (B,) is negative or not below ``num_classes``; None: any number.

    >>> check_labels(torch.tensor([0, 4]), num_classes=5)
    """
    lowest, highest = (int(label) for label in labels.aminmax()) if len(labels) else (0, 0)
    if lowest < 0:
        raise ValueError(
            f'the head met label {lowest}; training labels count from 0, and images without a '
            'class cannot train'
        )
    if num_classes is not None and highest >= num_classes:
        raise ValueError(
            f'the head was built for {num_classes} classes but met label {highest}; set '
            "model.head.num_classes to the training set's number"
        )


def take_rows(rows: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the rows (B', ...) of these ascending numbers; no GPU is waited for.

    A list as an index would be copied to the GPU after all work that was given to it.

    >>> take_rows(torch.tensor([5, 6, 7]), [0, 2])
    tensor([5, 7])
    """
    if len(kept) == len(rows):
        return rows
    return rows[torch.tensor(kept, dtype=torch.int64).to(rows.device, non_blocking=True)]
