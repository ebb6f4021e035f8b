"""Objects before the backgrounds of other images of the batch."""

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from .gather import take_rows


def swap_by_samples(
    images: Tensor, backgrounds: Tensor, samples: Sequence[DataSample], prob: float
) -> Tensor:
    """:func:`swap_backgrounds` with the ``box`` and ``has_background`` of data samples.

    Args:
        images: Original views, (B, 3, H, W).
        backgrounds: Background views of the same images, (B, 3, H, W); those of images marked
            ``has_background=False`` are not used.
        samples: One an image.
        prob: Share of the images that are changed.

    Raises:
        ValueError: If the samples have no ``box``; None is no box, and allowed.
    """
    if 'box' not in samples[0]:
        raise ValueError(
            "DVARetriever background_swap needs 'box' in the data samples; add it to the "
            'algorithm_keys of PackInputs'
        )
    boxes = [(0.0,) * 4 if sample.box is None else tuple(sample.box) for sample in samples]
    scenes = [i for i, sample in enumerate(samples) if sample.get('has_background', True)]
    boxes = torch.tensor(boxes, dtype=torch.float32)
    return swap_backgrounds(images, boxes, take_rows(backgrounds, scenes), prob)


def swap_backgrounds(images: Tensor, boxes: Tensor, backgrounds: Tensor, prob: float) -> Tensor:
    """Paste the objects of some images on the backgrounds of others, drawn at random.

    So an object is seen in scenes that do not go with its class. Source: BG-Swaps of
    https://arxiv.org/abs/2103.12719, which takes masks where this takes boxes.

    Args:
        images: (B, 3, H, W).
        boxes: The object of each, (B, 4), xyxy in pixels of the image. An image of which less than
            half of the object is inside, or that has no box (zeros), stays as it is.
        backgrounds: (B', 3, H, W), as OPA's background view; with none all stay as they are.
        prob: Share of the images that are changed, drawn for each.

    Returns:
        (B, 3, H, W), new where anything changes.

    >>> image, scene = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    >>> swap_backgrounds(image, torch.tensor([[1.0, 1.0, 3.0, 2.0]]), scene, 1.0)[0, 0].tolist()[:2]
    [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    """
    if not len(backgrounds):
        return images
    count, device = len(images), images.device
    height, width = images.shape[-2:]
    x1, y1, x2, y2 = boxes.to(device, non_blocking=True).unbind(1)
    columns, rows = (torch.arange(side, device=device) + 0.5 for side in (width, height))
    inside_x = (columns >= x1[:, None]) & (columns < x2[:, None])  # (B, W)
    inside_y = (rows >= y1[:, None]) & (rows < y2[:, None])  # (B, H)
    inside = inside_y[:, :, None] & inside_x[:, None]  # (B, H, W)
    area, visible = (x2 - x1) * (y2 - y1), inside.sum((1, 2))
    chosen = (torch.rand(count, device=device) < prob) & (area > 0) & (2 * visible >= area)
    others = backgrounds[torch.randint(len(backgrounds), (count,), device=device)]
    keep = inside | ~chosen[:, None, None]
    return torch.where(keep[:, None], images, others)
