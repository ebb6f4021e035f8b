"""What tells one encoder's pre-trained tensors from another's: a hash, and quicker, sums."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def hash_tensors(tensors: Mapping[str, Tensor], only_shape: Iterable[str] = ()) -> str:
    """Return the head of a SHA-256 over names, shapes and float32 values, sorted by name.

    Args:
        tensors: Tensors of any type and device, by name.
        only_shape: Names of which the values do not count. Defaults to none.

    >>> hash_tensors(dict(weight=torch.zeros(2)))
    'b23efc3ec0183589b56bd74736cfd6c0'
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f'{name} {tuple(tensor.shape)}'.encode())
        if name not in only_shape:
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


def sum_bits(tensors: Iterable[Tensor]) -> list[int]:
    """Return the sum of each tensor's bits, read as integers of the tensor's own width.

    It tells a change at a fraction of a hash's cost. Integers add up exactly, so a sum is the same
    on every device and in every order, where one of floating-point numbers is not.

    >>> sum_bits([torch.tensor([1.0, 2.0]), torch.tensor([3, 4])])
    [2139095040, 7]
    """
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    words = [tensor.detach().reshape(-1) for tensor in tensors]
    sums = [w.view(integers[w.element_size()]).sum(dtype=torch.int64) for w in words]
    return torch.stack(sums).tolist() if sums else []
