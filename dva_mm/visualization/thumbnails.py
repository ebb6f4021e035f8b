"""Images small enough to lie in a page, as data URIs."""

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from dva_mm.datasets.image import image_size, read_image

ENCODINGS = dict(JPEG='image/jpeg', PNG='image/png')


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as a ``data:`` address.

    >>> data_uri(b'<svg/>', 'image/svg+xml')
    'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def open_picture(image: Any, side: int | None = None) -> Image.Image:
    """A picture as it is shown: upright, RGB.

    Args:
        image: A path, a PIL image or an array (H, W, 3) RGB uint8.
        side: Longest side in pixels; a file is decoded no larger than it needs. Defaults to None:
            as it is.

    Raises:
        ValueError, OSError: If a file cannot be read.

    >>> open_picture(np.zeros((20, 40, 3), np.uint8), side=10).size
    (10, 5)
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        sides = (8, 4, 2) if side is not None else ()
        reduction = next((r for r in sides if max(image_size(image)) >= 2 * r * side), 1)
        pixels = read_image(image, reduction)[..., ::-1]  # as the model sees it
        return open_picture(np.ascontiguousarray(pixels), side)
    image = image.convert('RGB')
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def thumbnail(image: Any, side: int = 112, encoding: str = 'JPEG') -> str | None:
    """A picture as a data URI; None where it cannot be read.

    Args:
        image: See :func:`open_picture`; None gives None.
        side: Longest side in pixels. Defaults to 112.
        encoding: 'JPEG' (quality 75) or 'PNG'. Defaults to 'JPEG'.

    >>> thumbnail(np.zeros((8, 8, 3), np.uint8), side=4)[:23]
    'data:image/jpeg;base64,'
    """
    if image is None:
        return None
    try:
        picture = open_picture(image, side)
    except Exception:  # decoders raise nearly anything; a page shows that there is no picture
        return None
    content = io.BytesIO()
    picture.save(content, encoding, quality=75)
    return data_uri(content.getvalue(), ENCODINGS[encoding])


def thumbnails(images: Sequence[Any], side: int = 112) -> list[str | None]:
    """:func:`thumbnail` of each image; smaller where there are more than 8,000, to bound a page.

    >>> thumbnails([np.zeros((8, 8, 3), np.uint8), 'no such file'])[1] is None
    True
    """
    if len(images) > 8000:
        side = max(40, round(side * (8000 / len(images)) ** 0.5))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoding frees the GIL
        return list(pool.map(lambda image: thumbnail(image, side), images))
