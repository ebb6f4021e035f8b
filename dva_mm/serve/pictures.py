"""Pictures that a visitor gives: checked before they are decoded, and cut to a region."""

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dva_mm.datasets.boxes import clip_box
from dva_mm.datasets.image import read_image

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF', 'PPM')
"""What is taken, by Pillow's names: for these it tells the size before OpenCV decodes them."""
LONGEST = 32
"""Longer than wide by so much at most: a pipeline makes the short side some 256 pixels."""
SIDE = 1024
"""Most pixels of a region's side."""


def read_upload(content: bytes, max_pixels: int) -> np.ndarray:
    """Decode a visitor's picture as the model's own loader does.

    Args:
        content: Of the file.
        max_pixels: Most pixels; a larger picture is refused by its header.

    Returns:
        (H, W, 3) uint8 RGB, upright.

    Raises:
        ValueError: If it is no picture, damaged, too large or too long.

    >>> read_upload(cv2.imencode('.png', np.zeros((2, 3, 3), np.uint8))[1].tobytes(), 6).shape
    (2, 3, 3)
    """
    try:
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Image.DecompressionBombError:
        width, height = math.inf, math.inf
    except Exception as error:  # damaged files raise nearly anything
        names = ', '.join(FORMATS)
        raise ValueError(f'this is no picture that can be read: {names} are taken') from error
    if width * height > max_pixels:
        raise ValueError(
            f'this picture is too large: more than {max_pixels / 1e6:g} megapixels are refused'
        )
    if max(width, height) > LONGEST * min(width, height):
        raise ValueError(f'this picture is too long: {width} x {height} pixels')
    try:
        return np.ascontiguousarray(read_image(content, max_pixels=max_pixels)[..., ::-1])
    except ValueError as error:
        raise ValueError('this picture is damaged: it cannot be decoded') from error


def cut_region(image: np.ndarray, box: Sequence[float] | None) -> np.ndarray:
    """The object alone: a box cut out and stretched to a square, as training shows objects.

    A test pipeline that cuts a central square would else cut the ends off a long object.

    Args:
        image: (H, W, 3) uint8.
        box: x1, y1, x2, y2 as shares of width and height, 0 to 1; None takes the whole image.

    Returns:
        (S, S, 3), S the longer side of the box in pixels, at most 1024; the image itself without a
        box.

    Raises:
        ValueError: If the box is none, or nothing of it lies inside.

    >>> cut_region(np.zeros((40, 60, 3), np.uint8), (0.5, 0, 1, 0.5)).shape
    (30, 30, 3)
    """
    if box is None:
        return image
    height, width = image.shape[:2]
    numbers = isinstance(box, list | tuple) and all(type(value) in (int, float) for value in box)
    if not numbers or len(box) != 4:
        raise ValueError(f'a box has four numbers x1, y1, x2, y2 from 0 to 1, got {box!r}'[:200])
    x1, y1, x2, y2 = box
    pixels = clip_box((x1 * width, y1 * height, x2 * width, y2 * height), height, width)
    if pixels is None:
        raise ValueError(f'nothing of the box {box!r} lies inside of the picture'[:200])
    left, top, right, bottom = pixels
    longer = max(right - left, bottom - top)
    side = min(longer, SIDE)
    how = cv2.INTER_AREA if longer > side else cv2.INTER_LINEAR
    return cv2.resize(image[top:bottom, left:right], (side, side), interpolation=how)


def make_room(folder: Path, count: int) -> None:
    """Remove the oldest uploads, of ``folder/HASH/NAME``, but for ``count``.

    Args:
        folder: Of the uploads.
        count: So many are left.
    """
    files = sorted(folder.glob('*/*'), key=lambda path: path.lstat().st_mtime_ns)
    for path in files[: max(0, len(files) - count)]:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # another upload of the same content is in it
            path.parent.rmdir()
