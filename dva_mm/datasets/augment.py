"""RandomCropFlip: the two augmentations of a view, in one step of little overhead."""

import random

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCropFlip(BaseTransform):
    """Cut a square at random and mirror it horizontally at random.

    The same as mmpretrain's RandomCrop without padding, then mmcv's RandomFlip; on small images
    those two take longer than the pixels that they move. Draws from :mod:`random`, which
    FineGrainedDataset seeds for each image.

    Required keys: ``img`` (H, W, C). Modified keys: ``img`` (size, size, C), ``img_shape``, and
    ``box`` (xyxy in pixels), where there is one, which may then reach beyond the view.

    Args:
        size: Side of the square in pixels.
        prob: Probability of mirroring. Defaults to 0.5.

    Raises:
        ValueError: If an argument is out of range, or an image is smaller than ``size``.

    >>> RandomCropFlip(size=32)(dict(img=np.zeros((40, 60, 3), np.uint8)))['img_shape']
    (32, 32)
    """

    def __init__(self, size: int, prob: float = 0.5) -> None:
        if size < 1:
            raise ValueError(f'RandomCropFlip size must be positive, got {size}')
        if not 0 <= prob <= 1:
            raise ValueError(f'RandomCropFlip prob must lie between 0 and 1, got {prob}')
        self.size = size
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Replace ``img``."""
        height, width = results['img'].shape[:2]
        if min(height, width) < self.size:
            raise ValueError(
                f'RandomCropFlip cannot cut {self.size} x {self.size} pixels from the {width} x '
                f'{height} of {results.get("img_path")}; resize to a larger edge first'
            )
        top = random.randint(0, height - self.size)
        left = random.randint(0, width - self.size)
        view = results['img'][top : top + self.size, left : left + self.size]
        # OpenCV mirrors five times as fast as NumPy copies against the grain.
        mirrored = random.random() < self.prob
        results['img'] = cv2.flip(view, 1) if mirrored else np.ascontiguousarray(view)
        results['img_shape'] = (self.size, self.size)
        if results.get('box') is not None:
            x1, y1, x2, y2 = (float(value) for value in results['box'])
            x1, x2 = x1 - left, x2 - left
            x1, x2 = (self.size - x2, self.size - x1) if mirrored else (x1, x2)
            results['box'] = (x1, y1 - top, x2, y2 - top)
        return results

    def __repr__(self) -> str:
        return f'RandomCropFlip(size={self.size}, prob={self.prob})'
