"""From an image file to a small uint8 image, for little more than the JPEG decoder must cost.

A photograph holds many more pixels than an encoder sees. libjpeg can leave out the upper
frequencies while it decodes, and torchvision resizes uint8 pixels without a copy of the image.
"""

import io
from collections.abc import Sequence

import cv2
import mmengine.fileio as fileio
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize_image

from .boxes import clip_box, scale_box
from .exif import TRANSPOSED, exif_orientation

FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# As an image is shown, x (y) runs against the direction in which the file's blocks were laid out.
_X_REVERSED, _Y_REVERSED = (2, 3, 6, 7), (3, 4, 7, 8)  # EXIF orientations


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
        box: x1, y1, x2, y2 in its pixels. None, or one without a pixel inside: the object is the
            whole image.
        min_edge: Pixels that the shorter edge will be resized to. Defaults to 256.
        object_size: Pixels that the shorter side of the enlarged, clipped box will be resized to.
            Defaults to 224.
        scale: Enlargement of the box, as OPA's. Defaults to 1.3.
        reducing_gap: So many times ``min_edge`` and ``object_size`` must be left. Defaults to 2.

    Returns:
        8, 4 or 2, the largest that leaves both, or 1.
    """
    clipped = clip_box(box, height, width)
    if clipped is None:
        left, top, right, bottom = 0, 0, width, height
    else:
        left, top, right, bottom = clip_box(scale_box(box, scale), height, width) or clipped
    edge, side = min(height, width), min(right - left, bottom - top)
    most = min(edge / min_edge, side / object_size) / reducing_gap
    return next((reduction for reduction in (8, 4, 2) if reduction <= most), 1)


def resize_antialiased(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize by antialiased bicubic interpolation, on uint8 from end to end.

    The filter is Pillow's (a = -0.5, widened by the factor of reduction), and so are the results
    but for the rounding of single pixels, at a fraction of its time. OpenCV's own bicubic does not
    widen the filter: it skips pixels and aliases.

    Args:
        image: (H, W, C) uint8, any strides.
        height: Of the result, pixels.
        width: Of the result, pixels.

    Returns:
        (height, width, C) uint8; ``image``'s own memory where nothing is to be done.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)  # (C, H, W)
    size = [height, width]
    resized = resize_image(pixels, size, InterpolationMode.BICUBIC, antialias=True)
    return resized.permute(1, 2, 0).numpy()


@TRANSFORMS.register_module()
class LoadReducedImage(BaseTransform):
    """Load an image; decode a JPEG at 1/2, 1/4 or 1/8 of its size where its views
    hardly show it.

    Takes the place of LoadImageFromFile in a training pipeline that ends in small images. What is
    left has at least ``reducing_gap`` times the pixels that a view will have, on the shorter edge
    and across the enlarged object (see :func:`choose_reduction`). With a gap of 2 the views differ
    from those of a full decoding about as two usual filters differ; with 1 clearly more. Pillow's
    ``reducing_gap`` is the same idea. Any other format, and a JPEG that is too small, is decoded
    in full, pixel for pixel as by LoadImageFromFile.

    Required keys: ``img_path``, ``box`` (xyxy in pixels of the full image as it is shown, may be
    None or absent). Added keys: ``img`` (H, W, 3) uint8 BGR, EXIF orientation applied;
    ``img_shape``, its (H, W); ``ori_shape``, the (H, W) of the full image as it is shown.
    Modified keys: ``box``, in pixels of ``img``.

    Args:
        min_edge: Pixels of the shorter edge that the original view is resized to. Defaults to 256.
        object_size: Pixels of the shorter side of the discriminative view. Defaults to 224.
        scale: Enlargement of the box, as OPA's. Defaults to 1.3.
        reducing_gap: So many times these pixels are left, at least 1. Defaults to 2.
        backend_args: Options of the file backend, as LoadImageFromFile's. Defaults to None.

    Raises:
        ValueError: if an option is out of range, or a file is no image.
        FileNotFoundError: if a local file is not there.
    """

    def __init__(
        self,
        min_edge: int = 256,
        object_size: int = 224,
        scale: float = 1.3,
        reducing_gap: float = 2.0,
        backend_args: dict | None = None,
    ) -> None:
        for name, value in (
            ('min_edge', min_edge),
            ('object_size', object_size),
            ('scale', scale),
            ('reducing_gap', reducing_gap),
        ):
            if not value >= 1:  # NaN too
                raise ValueError(f'LoadReducedImage {name} must be at least 1, got {value}')
        self.min_edge = min_edge
        self.object_size = object_size
        self.scale = scale
        self.reducing_gap = reducing_gap
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``, and scale ``box``."""
        path, box = results['img_path'], results.get('box')
        content = fileio.get(path, backend_args=self.backend_args)
        header, reduction = _read_jpeg_header(content), 1
        if header is not None:
            height, width, orientation = header
            sizes = self.min_edge, self.object_size, self.scale, self.reducing_gap
            reduction = choose_reduction(height, width, box, *sizes)
        image = _decode(content, FLAGS[reduction], path)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        if reduction > 1:
            results['ori_shape'] = (height, width)
            if box is not None:
                results['box'] = _reduce_box(box, height, width, orientation, reduction)
        return results

    def __repr__(self) -> str:
        return (
            f'LoadReducedImage(min_edge={self.min_edge}, object_size={self.object_size}, '
            f'scale={self.scale}, reducing_gap={self.reducing_gap}, '
            f'backend_args={self.backend_args})'
        )


@TRANSFORMS.register_module()
class ResizeAntialiased(BaseTransform):
    """Resize as Pillow's bicubic does, several times as fast.

    Takes the place of mmpretrain's ResizeEdge or mmcv's Resize with ``backend='pillow',
    interpolation='bicubic'``: see :func:`resize_antialiased`.

    Required keys: ``img`` (H, W, C) uint8. Modified keys: ``img``, ``img_shape``. Added keys:
    ``scale`` (W, H) and ``scale_factor`` (of W, of H).

    Args:
        scale: Length of the shorter edge, the other in proportion; or (width, height).

    Raises:
        ValueError: if ``scale`` is neither, or not positive.
    """

    def __init__(self, scale: int | Sequence[int]) -> None:
        sides = tuple(scale) if isinstance(scale, Sequence) else (scale,)
        if len(sides) not in (1, 2) or not all(
            isinstance(side, int) and side > 0 for side in sides
        ):
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


def _decode(content: bytes, flag: int, path: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error:  # an empty file, or one with more pixels than OpenCV takes
        image = None
    if image is None:
        raise ValueError(
            f'{path} ({len(content)} bytes) is no image that OpenCV can read; restore the file or '
            'take it out of the data set'
        )
    return image


def _read_jpeg_header(content: bytes) -> tuple[int, int, int] | None:
    """Height and width of a JPEG as it is shown and its EXIF orientation; None for all else."""
    try:
        image = Image.open(io.BytesIO(content))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return None
    if image.format not in ('JPEG', 'MPO'):  # MPO: a JPEG with further pictures behind it
        return None
    width, height = image.size
    orientation = exif_orientation(image)
    if orientation in TRANSPOSED:
        height, width = width, height
    return height, width, orientation


def _reduce_box(
    box: Sequence[float], height: int, width: int, orientation: int, reduction: int
) -> np.ndarray:
    """Scale a box; the file's last, incomplete block of pixels comes first in a turned image."""
    x = -width % reduction if orientation in _X_REVERSED else 0
    y = -height % reduction if orientation in _Y_REVERSED else 0
    offset = np.array([x, y, x, y], dtype=np.float32)
    return (np.asarray(box, dtype=np.float32) + offset) / np.float32(reduction)
