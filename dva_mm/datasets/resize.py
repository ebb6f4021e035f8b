"""Fewer pixels: how far a JPEG may shrink while it is decoded, and antialiased resizing."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize_image

from .boxes import enlarge_box


def choose_reduction(
    height: int,
    width: int,
    box: Sequence[float] | None = None,
    min_edge: int = 256,
    object_size: int = 224,
    scale: float = 1.3,
    reducing_gap: float = 2.0,
) -> int:
    """How far an image may shrink while it is decoded, so that its views hardly show it.

    Args:
        height: Of the full image, pixels.
        width: Of the full image, pixels.
        box: x1, y1, x2, y2 in its pixels. None, or none inside: the object is the whole image.
        min_edge: Pixels that the shorter edge will be resized to.
        object_size: Pixels that the shorter side of the enlarged, clipped box will be resized to.
        scale: Enlargement of the box, as OPA's.
        reducing_gap: So many times ``min_edge`` and ``object_size`` must be left. With 2, views
            differ from those of a full decoding about as two usual filters differ.

    Returns:
        8, 4 or 2, the largest that leaves both, or 1.

    >>> choose_reduction(2048, 3072), choose_reduction(2048, 3072, box=(0, 0, 900, 900))
    (4, 2)
    """
    left, top, right, bottom = enlarge_box(box, scale, height, width) or (0, 0, width, height)
    edge, side = min(height, width), min(right - left, bottom - top)
    most = min(edge / min_edge, side / object_size) / reducing_gap
    return next((reduction for reduction in (8, 4, 2) if reduction <= most), 1)


def resize_antialiased(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, C) uint8 of any strides to (height, width, C) by antialiased bicubic.

    The filter is Pillow's (a = -0.5, widened by the factor of reduction), and so are the results
    but for the rounding of single pixels, at a fraction of its time. OpenCV's own bicubic does not
    widen the filter: it skips pixels and aliases.

    >>> resize_antialiased(np.full((40, 60, 3), 7, np.uint8), 2, 3)[0].tolist()
    [[7, 7, 7], [7, 7, 7], [7, 7, 7]]
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)  # (C, H, W)
    size = [height, width]
    resized = resize_image(pixels, size, InterpolationMode.BICUBIC, antialias=True)
    return resized.permute(1, 2, 0).numpy()


@TRANSFORMS.register_module()
class ResizeAntialiased(BaseTransform):
    """Resize as Pillow's bicubic does, several times as fast: see :func:`resize_antialiased`.

    Takes the place of mmpretrain's ResizeEdge or mmcv's Resize with ``backend='pillow',
    interpolation='bicubic'``.

    Required keys: ``img`` (H, W, C) uint8. Modified keys: ``img``, ``img_shape``. Added keys:
    ``scale`` (W, H) and ``scale_factor`` (of W, of H).

    Args:
        scale: Length of the shorter edge, the other in proportion; or (width, height).

    Raises:
        ValueError: If ``scale`` is neither, or not positive.

    >>> ResizeAntialiased(scale=20)(dict(img=np.zeros((40, 60, 3), np.uint8)))['img_shape']
    (20, 30)
    """

    def __init__(self, scale: int | Sequence[int]) -> None:
        sides = tuple(scale) if isinstance(scale, Sequence) else (scale,)
        whole = all(isinstance(side, int) and side > 0 for side in sides)
        if len(sides) not in (1, 2) or not whole:
            raise ValueError(
                'ResizeAntialiased scale must be a positive length of the shorter edge or '
                f'(width, height), got {scale}'
            )
        self.sides = sides

    def transform(self, results: dict) -> dict:
        """Resize ``img``."""
        height, width = results['img'].shape[:2]
        if len(self.sides) == 2:
            new_width, new_height = self.sides
        else:  # rounded as ResizeEdge does, so that figures compare
            edge = self.sides[0]
            new_width = edge if width < height else int(edge * width / height)
            new_height = int(edge * height / width) if width < height else edge
        results['img'] = resize_antialiased(results['img'], new_height, new_width)
        results['img_shape'] = (new_height, new_width)
        results['scale'] = (new_width, new_height)
        results['scale_factor'] = (new_width / width, new_height / height)
        return results

    def __repr__(self) -> str:
        return f'ResizeAntialiased(scale={self.sides})'
