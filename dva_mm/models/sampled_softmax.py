"""The classes of a sampled softmax, as in Partial FC."""

import zlib

import torch
from torch import Tensor


def sample_classes(labels: Tensor, num_classes: int, sample_rate: float) -> Tensor:
    """Draw classes for one batch: all of its own and random others (negatives), each as likely.

    This is the sampling of Partial FC (https://arxiv.org/abs/2203.15565). The labels seed the
    drawing, and nothing else does: processes that gathered the same labels draw the same classes,
    and so does a resumed run. It takes place on the CPU, whose numbers are those of any machine.

    Args:
        labels: Classes of the batch of all processes, (B,), int64 in [0, K).
        num_classes: K.
        sample_rate: Share of the K classes that is drawn, in (0, 1]; more are returned where the
            batch itself has more.

    Returns:
        Classes in ascending order, (S,), int64, on the device of ``labels``.

    >>> labels = torch.tensor([7, 2, 7])
    >>> classes = sample_classes(labels, num_classes=10, sample_rate=0.5)
    >>> len(classes), bool(torch.isin(labels, classes).all())
    (5, True)
    """
    drawn = labels.cpu()
    generator = torch.Generator().manual_seed(zlib.crc32(drawn.numpy().tobytes()))
    priority = torch.rand(num_classes, generator=generator)
    priority[drawn] = 2.0  # above what is drawn from [0, 1)
    count = max(round(sample_rate * num_classes), len(drawn.unique()))
    return priority.topk(count, sorted=False).indices.sort().values.to(labels.device)
