"""Look at image files: can they be decoded whole, how large are they, what are their bytes?"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from dva_mm.datasets.boxes import clip_box
from dva_mm.datasets.image import image_size, read_image

MISSING, DAMAGED = 'missing images', 'unreadable or truncated images'
OVER_EDGE = 'boxes over the edge'
_EDGE = 1.0  # a box may reach so far over: annotations count pixels from 0 or from 1


class ImageFacts(NamedTuple):
    """What :func:`inspect_image` found."""

    size: tuple[int, int] | None = None
    """Height and width in pixels as training sees them: turned as the EXIF orientation says."""
    sha256: str | None = None
    """Of the file's bytes; None where they were not read."""
    fault: str | None = None  # ``MISSING``, ``DAMAGED`` with ': WHY', or None


def inspect_image(path: str | Path, fast: bool = False) -> ImageFacts:
    """Decode an image file as training does, and keep none of its pixels.

    ``fast`` reads its header only: no checksum, and truncation is not seen.

    >>> inspect_image('nowhere.jpg').fault
    'missing images'
    """
    size = digest = None
    try:
        if fast:
            width, height = image_size(path)
            return ImageFacts((height, width))
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        size = read_image(path).shape[:2]
    except FileNotFoundError:
        return ImageFacts(fault=MISSING)
    # Decoders of damaged files raise nearly anything, SyntaxError and struct.error among it.
    except Exception as error:
        return ImageFacts(size, digest, f'{DAMAGED}: {error}')
    return ImageFacts(size, digest)


def inspect_images(
    paths: Sequence[str], workers: int = 4, fast: bool = False
) -> dict[str, ImageFacts]:
    """Inspect each of the paths once, in threads: decoding and hashing release Python's lock.

    >>> inspect_images(['nowhere.jpg'])['nowhere.jpg'].size is None
    True
    """
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(workers) as pool:
        facts = pool.map(partial(inspect_image, fast=fast), unique)
        return dict(zip(unique, tqdm(facts, 'check', len(unique)), strict=True))


def box_fault(box: Sequence[float], height: int, width: int) -> str | None:
    """What is wrong with an xyxy box in pixels of an image, or None.

    >>> box_fault((40, 0, 60, 9), height=40, width=48)
    'boxes over the edge'
    """
    x1, y1, x2, y2 = box
    if not (x2 > x1 and y2 > y1):  # NaN as well
        return 'boxes without area'
    if clip_box(box, height, width) is None:
        return 'boxes outside their image'
    if min(x1, y1) < -_EDGE or x2 > width + _EDGE or y2 > height + _EDGE:
        return OVER_EDGE
    return None
