"""OPA, Object-Perceptual Adaptation: an image and its object's box -> three views.

Paper: https://arxiv.org/abs/2506.16273. The enlargement of the box and the fill are choices of
this project (see docs/method.md).
"""

import random
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.registry import TRANSFORMS

from .boxes import clip_box, enlarge_box, follow_resize


def discriminative_view(
    image: np.ndarray, box: Sequence[float] | None, scale: float = 1.3
) -> np.ndarray:
    """The object: the box enlarged about its centre, clipped, cut from the full-size image.

    Args:
        image: (H, W, 3).
        box: x1, y1, x2, y2 in pixels, or None.
        scale: Enlargement of each side. Defaults to 1.3.

    Returns:
        A view into ``image``; all of it when nothing of the box lies inside.

    >>> discriminative_view(np.zeros((40, 60, 3)), (20, 10, 30, 20), scale=2).shape
    (20, 20, 3)
    """
    height, width = image.shape[:2]
    left, top, right, bottom = enlarge_box(box, scale, height, width) or (0, 0, width, height)
    return image[top:bottom, left:right]


def background_view(
    image: np.ndarray, box: Sequence[float] | None, fill: Sequence[float]
) -> np.ndarray | None:
    """The context: a copy of the image with the unenlarged box painted over.

    Args:
        image: (H, W, 3).
        box: x1, y1, x2, y2 in pixels, or None.
        fill: Colour in the image's channel order.

    Returns:
        (H, W, 3), or None when nothing of the box lies inside or the box covers every pixel.

    >>> background_view(np.zeros((1, 3, 3)), (1, 0, 2, 1), fill=(7, 8, 9))[0].tolist()
    [[0.0, 0.0, 0.0], [7.0, 8.0, 9.0], [0.0, 0.0, 0.0]]
    """
    height, width = image.shape[:2]
    clipped = clip_box(box, height, width)
    if clipped is None or clipped == (0, 0, width, height):
        return None
    left, top, right, bottom = clipped
    background = image.copy()
    # Whole rows: NumPy takes twenty times as long to repeat three values pixel by pixel.
    colour = np.round(fill).astype(image.dtype)
    background[top:bottom, left:right] = np.tile(colour, (right - left, 1))
    return background


@TRANSFORMS.register_module()
class OPA(BaseTransform):
    """Make the views [original, discriminative, background], each through its own pipeline.

    Required keys: ``img`` (H, W, 3), ``box`` (xyxy in pixels, may be None or absent).
    Modified keys: ``img`` becomes the list of views, ``box`` that of the original view as far as
    its pipeline moves boxes (RandomCropFlip does). Added keys: ``has_background``.

    An image whose box is missing, without area, not finite or outside the image gives its whole
    self as discriminative view and has no background view; neither has one that the box covers.
    ``has_background`` is False then, and the third view is a copy of the first, so that batches
    stack: the retriever drops it.

    Args:
        original: Pipeline of the original view, ending in one size for all images, which is the
            background's too.
        discriminative: Pipeline of the object, which may end in another size, as a smaller one
            to encode it for less; see ``dynamic_img_size`` of FrozenViT. None takes ``resize``'s
            and then ``original``'s. Defaults to None.
        background: Pipeline of the background. None takes ``original``'s. Defaults to None.
        scale: Enlargement of the box for the discriminative view; a pair (low, high) draws one for
            each image. Defaults to 1.3.
        shift: The box of the discriminative view moves along each axis by up to this share of its
            side, drawn for each image. Defaults to 0.0.
        fill: Colour painted over the object, R, G, B in 0-255: the data's mean, which the
            preprocessor turns into zero. Defaults to ImageNet's mean.
        channel_order: Order of ``img``'s channels, 'bgr' (as OpenCV loads) or 'rgb'.
            Defaults to 'bgr'.
        resize: Pipeline that the full image goes through once, ahead of ``original`` and
            ``background``; it may resize and nothing else: what is random each view draws for
            itself. The box is scaled along, its edges rounded outwards to whole pixels; the
            discriminative view is still cut from the full image. Defaults to None, nothing.

    Raises:
        ValueError: If ``scale`` is below 1 or no range, ``shift`` is not in [0, 1), or
            ``channel_order`` is unknown.

    >>> opa = OPA(original=[dict(type='mmcv.Resize', scale=(8, 8))])
    >>> views = opa(dict(img=np.zeros((40, 60, 3), np.uint8), box=(20, 10, 30, 20)))['img']
    >>> [view.shape for view in views]
    [(8, 8, 3), (8, 8, 3), (8, 8, 3)]
    """

    def __init__(
        self,
        original: Sequence[dict],
        discriminative: Sequence[dict] | None = None,
        background: Sequence[dict] | None = None,
        scale: float | tuple[float, float] = 1.3,
        fill: Sequence[float] = (123.675, 116.28, 103.53),
        channel_order: str = 'bgr',
        resize: Sequence[dict] | None = None,
        shift: float = 0.0,
    ) -> None:
        low, high = (scale, scale) if isinstance(scale, int | float) else scale
        if not 1 <= low <= high:  # NaN too
            raise ValueError(f'OPA scale must be at least 1, or a range of such, got {scale}')
        if not 0 <= shift < 1:
            raise ValueError(f'OPA shift must be at least 0 and below 1, got {shift}')
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(f"OPA channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
        self.resize = _compose(resize or ())
        self.original = _compose(original)
        self.discriminative = _compose(discriminative or [*(resize or ()), *original])
        self.background = _compose(background or original)
        self.scale, self.shift = (low, high), shift
        self.fill = tuple(fill) if channel_order == 'rgb' else tuple(fill)[::-1]

    def transform(self, results: dict) -> dict:
        """Replace ``img`` by the list of views."""
        image, box = results['img'], results.get('box')
        objects = discriminative_view(image, *self._vary(box))
        whole = self.resize(_with_image(results, image))
        box = follow_resize(box, image.shape[:2], whole['img'].shape[:2])
        context = background_view(whole['img'], box, self.fill)
        packed = self.original({**_with_image(whole, whole['img']), 'box': box})
        views = [packed['img'], self.discriminative(_with_image(results, objects))['img']]
        if context is None:
            views.append(packed['img'].copy())
        else:
            views.append(self.background(_with_image(whole, context))['img'])
        if views[0].shape != views[2].shape:
            raise ValueError(
                f'OPA original and background view of {results.get("img_path")} differ in shape: '
                f'{views[0].shape} and {views[2].shape}; end both pipelines in the same size'
            )
        return {**packed, 'img': views, 'has_background': context is not None}

    def _vary(self, box: Sequence[float] | None) -> tuple[Sequence[float] | None, float]:
        """The box moved, and the enlargement, as this image draws them."""
        low, high = self.scale
        scale = low if low == high else random.uniform(low, high)
        if box is None or not self.shift:
            return box, scale
        x1, y1, x2, y2 = (float(value) for value in box)
        right = random.uniform(-self.shift, self.shift) * (x2 - x1)
        down = random.uniform(-self.shift, self.shift) * (y2 - y1)
        return (x1 + right, y1 + down, x2 + right, y2 + down), scale

    def __repr__(self) -> str:
        return (
            f'OPA(original={self.original}, discriminative={self.discriminative}, '
            f'background={self.background}, scale={self.scale}, fill={self.fill}, '
            f'resize={self.resize}, shift={self.shift})'
        )


def _compose(pipeline: Sequence[dict]) -> Compose:
    return Compose([TRANSFORMS.build(transform) for transform in pipeline])


def _with_image(results: dict, image: np.ndarray) -> dict:
    return {**results, 'img': image, 'img_shape': image.shape[:2]}
