"""Boxes: geometry on the pixel grid, and where a box comes from.

All boxes are x1, y1, x2, y2 in pixels; x2 and y2 are the first column and row outside.
"""

import math
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

PixelBox = tuple[int, int, int, int]


def clip_box(box: Sequence[float] | None, height: int, width: int) -> PixelBox | None:
    """The whole pixels that a box touches inside the image, or None when there are none.

    None, a box with a NaN or an infinity, one without area, and one outside the image give None.
    Edges are rounded outwards, so no pixel of the object stays outside.

    >>> clip_box((-3, 1.2, 4.5, 3), height=10, width=20)
    (0, 1, 5, 3)
    """
    if box is None or not all(math.isfinite(value) for value in box):
        return None
    x1, y1, x2, y2 = (float(value) for value in box)
    if x2 <= x1 or y2 <= y1:
        return None
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    right, bottom = min(width, math.ceil(x2)), min(height, math.ceil(y2))
    if right <= left or bottom <= top:
        return None
    return left, top, right, bottom


def enlarge_box(
    box: Sequence[float] | None, scale: float, height: int, width: int
) -> PixelBox | None:
    """The whole pixels that a scaled box touches inside the image; None as :func:`clip_box`.

    >>> enlarge_box((0, 4, 2, 8), scale=2, height=10, width=20)
    (0, 2, 3, 10)
    """
    clipped = clip_box(box, height, width)
    # A box too large for its enlargement to be a finite number covers the image as it is.
    return clipped and (clip_box(scale_box(box, scale), height, width) or clipped)


def scale_box(box: Sequence[float], scale: float) -> tuple[float, float, float, float]:
    """Enlarge a box about its centre: each side becomes ``scale`` times as long.

    >>> scale_box((10, 10, 20, 30), 2)
    (5.0, 0.0, 25.0, 40.0)
    """
    x1, y1, x2, y2 = box
    grow_x, grow_y = (x2 - x1) * (scale - 1) / 2, (y2 - y1) * (scale - 1) / 2
    return x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y


def follow_resize(
    box: Sequence[float] | None, shape: Sequence[int], resized: Sequence[int]
) -> Sequence[float] | None:
    """The box of an image that was resized from one (H, W) to another.

    >>> follow_resize((15, 10, 30, 20), (40, 60), (20, 20))
    (5.0, 5.0, 10.0, 10.0)
    """
    if box is None or tuple(shape) == tuple(resized):
        return box
    (height, width), (new_height, new_width) = shape, resized
    x1, y1, x2, y2 = (float(value) for value in box)
    # The product first: an edge that falls between two pixels then stays a whole number.
    x1, x2 = x1 * new_width / width, x2 * new_width / width
    return x1, y1 * new_height / height, x2, y2 * new_height / height


@TRANSFORMS.register_module()
class CenterBox(BaseTransform):
    """A stand-in for data sets without boxes: the middle of each image.

    Required keys: ``img``. Added keys: ``box``.

    Args:
        share: Side of the box as a share of the image's side, in (0, 1). Defaults to 0.7.

    Raises:
        ValueError: If ``share`` is out of range.

    >>> CenterBox(share=0.5)(dict(img=np.zeros((40, 60, 3), np.uint8)))['box'].tolist()
    [15.0, 10.0, 45.0, 30.0]
    """

    def __init__(self, share: float = 0.7) -> None:
        if not 0 < share < 1:
            raise ValueError(f'CenterBox share must lie between 0 and 1, got {share}')
        self.share = share

    def transform(self, results: dict) -> dict:
        """Set ``box``."""
        height, width = results['img'].shape[:2]
        box = scale_box((0, 0, width, height), self.share)
        results['box'] = np.asarray(box, dtype=np.float32)
        return results

    def __repr__(self) -> str:
        return f'CenterBox(share={self.share})'
