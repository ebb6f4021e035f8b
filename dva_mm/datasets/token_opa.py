"""Token-level OPA: the object's and the background's patch tokens in place of two more images.

A choice of this project, of the idea of OPA (https://arxiv.org/abs/2506.16273): one crop is cut
into patches, and the encoder reads some of the object's and some of the background's as two
shorter sequences.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.registry import TRANSFORMS

from .augment import RandomCropFlip
from .boxes import clip_box, follow_resize


def patch_distances(box: Sequence[float], height: int, width: int, patch_size: int) -> np.ndarray:
    """How far each patch's centre lies from a box's centre, in half sides of the box.

    The larger of both axes counts: up to 1 inside of the box, up to s inside of the box enlarged s
    times.

    Args:
        box: x1, y1, x2, y2 in pixels, with an area.
        height: Of the image in pixels.
        width: Of the image in pixels.
        patch_size: Side of a patch in pixels.

    Returns:
        (N,) in the order of a ViT's patch tokens, row by row.

    >>> patch_distances((0, 0, 20, 20), height=20, width=40, patch_size=20).tolist()
    [0.0, 2.0]
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    x = (np.arange(width // patch_size) + 0.5) * patch_size
    y = (np.arange(height // patch_size) + 0.5) * patch_size
    across = np.abs(x - (x1 + x2) / 2) / ((x2 - x1) / 2)  # (columns,)
    down = np.abs(y - (y1 + y2) / 2) / ((y2 - y1) / 2)  # (rows,)
    return np.maximum(down[:, None], across[None]).ravel()


def draw_patches(
    distances: np.ndarray, count: int, scale: float = 1.3
) -> tuple[list[int], list[int]]:
    """Draw the patches of the object and of the background, ascending, by :mod:`random`.

    Args:
        distances: Of :func:`patch_distances`, (N,).
        count: How many of each.
        scale: Enlargement of the box for the object's patches. Defaults to 1.3.

    Returns:
        ``count`` of the patches within the enlarged box, where it has fewer the nearest ones; and
        ``count`` of those outside of the box itself, each more than once where there are fewer, or
        none where there is none.

    >>> draw_patches(np.array([0.2, 3.0, 0.9, 1.2]), count=2, scale=1.0)
    ([0, 2], [1, 3])
    """
    inside = np.flatnonzero(distances <= scale).tolist()
    outside = np.flatnonzero(distances > 1).tolist()
    nearest = np.argsort(distances, kind='stable')[:count].tolist()
    objects = random.sample(inside, count) if len(inside) > count else nearest
    if not outside:
        return sorted(objects), []
    times, rest = divmod(count, len(outside))
    return sorted(objects), sorted(outside * times + random.sample(outside, rest))


@TRANSFORMS.register_module()
class TokenOPA(BaseTransform):
    """Crop one view, and choose patches of its object and of its background.

    Beside :class:`OPA`, no pixels are encoded again: :class:`~dva_mm.models.DVARetriever` encodes
    the chosen patch tokens, with the position embeddings that they have, as two shorter sequences.

    Required keys: ``img`` (H, W, 3), ``box`` (xyxy in pixels, may be None or absent).
    Modified keys: ``img`` becomes the view (size, size, 3), ``box`` follows it. Added keys:
    ``object_patches`` and ``background_patches``, int64 tensors (n,), ``patch_grid``, the rows and
    columns of patches, and ``has_background``: all of them are ``algorithm_keys`` of PackInputs.

    A view that nothing of the box lies in gives patches of all of it as its object's, and has no
    background; neither has one whose patches all lie in the box. ``background_patches`` are then
    the object's, and the retriever drops them.

    Args:
        size: Side of the view in pixels.
        resize: Pipeline ahead of the crop; it may resize and nothing else. Defaults to None.
        patch_size: Side of the encoder's patches in pixels. Defaults to 16.
        share: Share of the patches that each of both sequences has. Defaults to 0.33.
        scale: Enlargement of the box for the object's patches. Defaults to 1.3.
        prob: Probability of mirroring the view. Defaults to 0.5.

    Raises:
        ValueError: If an argument is out of range, or an image is smaller than ``size``.

    >>> opa = TokenOPA(size=32, patch_size=8, share=0.25)
    >>> view = opa(dict(img=np.zeros((40, 60, 3), np.uint8), box=(20, 10, 40, 30)))
    >>> view['img'].shape, len(view['object_patches'])
    ((32, 32, 3), 4)
    """

    def __init__(
        self,
        size: int,
        resize: Sequence[dict] | None = None,
        patch_size: int = 16,
        share: float = 0.33,
        scale: float = 1.3,
        prob: float = 0.5,
    ) -> None:
        if patch_size < 1 or size % patch_size:
            raise ValueError(f'TokenOPA size {size} must be a multiple of {patch_size=}')
        if not 0 < share <= 1:
            raise ValueError(f'TokenOPA share must be above 0 and at most 1, got {share}')
        if not scale >= 1:  # NaN too
            raise ValueError(f'TokenOPA scale must be at least 1, got {scale}')
        self.resize = Compose([TRANSFORMS.build(transform) for transform in resize or ()])
        self.crop = RandomCropFlip(size, prob)
        self.patch_size, self.share, self.scale = patch_size, share, scale
        self.count = max(1, round(share * (size // patch_size) ** 2))

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by the view and choose its patches."""
        image, box = results['img'], results.get('box')
        if clip_box(box, *image.shape[:2]) is None:
            box = None
        results = self.resize({**results, 'img_shape': image.shape[:2]})
        box = follow_resize(box, image.shape[:2], results['img'].shape[:2])
        results = self.crop({**results, 'box': box})
        height, width = results['img'].shape[:2]
        seen = clip_box(results['box'], height, width) is not None
        # Without a box every patch is the object's.
        box = results['box'] if seen else (0, 0, width, height)
        distances = patch_distances(box, height, width, self.patch_size)
        objects, background = draw_patches(distances, self.count, self.scale)
        results['has_background'] = bool(background)
        results['object_patches'] = torch.tensor(objects)
        results['background_patches'] = torch.tensor(background or objects)
        results['patch_grid'] = (height // self.patch_size, width // self.patch_size)
        return results

    def __repr__(self) -> str:
        return (
            f'TokenOPA(size={self.crop.size}, resize={self.resize}, patch_size={self.patch_size}, '
            f'share={self.share}, scale={self.scale}, prob={self.crop.prob})'
        )
