"""Look at image files: can they be decoded whole, how large are they, what are their bytes?"""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageFile
from tqdm import tqdm

from dva_mm.datasets.boxes import clip_box
from dva_mm.datasets.exif import exif_orientation

OVER_EDGE = 'boxes over the edge'
_BATCH = 2048
# What a box may reach over the edge: annotations count pixels from 0 or from 1.
_EDGE = 1.0


class ImageFacts(NamedTuple):
    """What :func:`inspect_image` found."""

    size: tuple[int, int] | None = None
    """Height and width in pixels as training sees them: turned as the EXIF orientation says."""
    sha256: str | None = None
    """Of the file's bytes; None where they were not read."""
    fault: str | None = None
    """'missing images', 'truncated or damaged images: WHY', 'unreadable images: WHY', or None."""


def inspect_image(path: str | Path, fast: bool = False) -> ImageFacts:
    """Decode an image file, and keep none of its pixels.

    Args:
        path: The file.
        fast: Read its header only: no checksum, and truncation is not seen.
    """
    try:
        data = None if fast else Path(path).read_bytes()
        with Image.open(path if data is None else io.BytesIO(data)) as image:
            height, width = image.height, image.width
            size = (width, height) if exif_orientation(image) >= 5 else (height, width)
            if data is None:
                return ImageFacts(size)
            digest = hashlib.sha256(data).hexdigest()
            try:
                image.load()
            except Exception as error:
                return ImageFacts(size, digest, f'truncated or damaged images: {error}')
            # Training decodes with OpenCV, which knows fewer formats than Pillow.
            if image.format not in ('JPEG', 'PNG', 'BMP') and (
                cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None
            ):
                return ImageFacts(size, digest, f'unreadable images: {image.format} for OpenCV')
            return ImageFacts(size, digest)
    except FileNotFoundError:
        return ImageFacts(fault='missing images')
    # Decoders of damaged files raise nearly anything, SyntaxError and struct.error among it.
    except Exception as error:
        return ImageFacts(fault=f'unreadable images: {error}')


def inspect_images(
    paths: Sequence[str], workers: int = 4, fast: bool = False
) -> dict[str, ImageFacts]:
    """Inspect each of the paths once, in threads: decoding and hashing release Python's lock.

    Raises:
        ValueError: if ``workers`` is less than 1.
        RuntimeError: if a library has told Pillow to accept truncated images.
    """
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise RuntimeError(
            'PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, so truncated images would pass unseen; '
            'unset it'
        )
    unique = list(dict.fromkeys(paths))
    look = partial(inspect_image, fast=fast)
    facts = {}
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(unique), desc='check') as bar:
        for start in range(0, len(unique), _BATCH):  # so that few results wait at any time
            batch = unique[start : start + _BATCH]
            for path, fact in zip(batch, pool.map(look, batch), strict=True):
                facts[path] = fact
                bar.update()
    return facts


def box_fault(box: Sequence[float], height: int, width: int) -> str | None:
    """What is wrong with an xyxy box in pixels of an image, or None.

    Returns:
        'boxes without area', 'boxes outside their image', 'boxes over the edge' (by more than one
        pixel), or None.
    """
    x1, y1, x2, y2 = box
    if not (x2 > x1 and y2 > y1):  # NaN as well
        return 'boxes without area'
    if clip_box(box, height, width) is None:
        return 'boxes outside their image'
    if min(x1, y1) < -_EDGE or x2 > width + _EDGE or y2 > height + _EDGE:
        return OVER_EDGE
    return None
