"""The one loader of images, for training, boxes, checks and pictures: OpenCV, EXIF applied."""

import inspect
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from .resize import choose_reduction

MAX_PIXELS = 178_956_970
"""Most pixels of an image: half a gigabyte as uint8 RGB. Pillow refuses larger ones as well."""
FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations
# In these, x (y) runs against the direction in which the file's blocks were laid out.
_X_REVERSED, _Y_REVERSED = (2, 3, 6, 7), (3, 4, 7, 8)


def read_image(
    source: str | Path | bytes,
    reduction: int = 1,
    max_pixels: int = MAX_PIXELS,
    name: str | Path = 'the image',
) -> np.ndarray:
    """Decode an image as it is shown, pixel for pixel as MMCV's LoadImageFromFile does.

    Grey and palette images get three channels, 16 bits become 8, an alpha channel is dropped.

    Args:
        source: A file, or its content.
        reduction: 1, 2, 4 or 8: a JPEG is decoded at this fraction of its size. Defaults to 1.
        max_pixels: Most pixels, read from the header. Defaults to 178,956,970.
        name: File to name in errors about a content.

    Returns:
        (H, W, 3) uint8, BGR, the EXIF orientation applied.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is empty, truncated, too large or no image; names it.

    >>> content = cv2.imencode('.png', np.zeros((2, 3), np.uint16))[1].tobytes()
    >>> read_image(content).shape
    (2, 3, 3)
    """
    if not isinstance(source, bytes):
        source, name = Path(source).expanduser().read_bytes(), source
    _check_header(source, name, max_pixels)
    if source.startswith(b'\xff\xd8') and not _has_jpeg_end(source):
        # OpenCV 4.8 fills the missing rows with whatever is in memory, and says nothing.
        raise _unreadable(name, f'({len(source)} bytes) is a truncated JPEG')
    try:
        image = cv2.imdecode(np.frombuffer(source, np.uint8), FLAGS[reduction])
    except cv2.error:
        image = None
    if image is None:
        raise _unreadable(name, f'({len(source)} bytes) is damaged, or no image for OpenCV')
    return image


def image_size(source: str | Path | bytes, name: str | Path = 'the image') -> tuple[int, int]:
    """Width and height of an image as :func:`read_image` gives it, from the header if it can.

    Arguments and errors are that function's, but damage behind the header is not seen.

    >>> image_size(cv2.imencode('.png', np.zeros((2, 3), np.uint8))[1].tobytes())
    (3, 2)
    """
    if isinstance(source, bytes):
        header = _check_header(source, name)
    else:
        name = source
        with Path(source).expanduser().open('rb') as file:
            header = _check_header(file, name)
    if header is None or not header.sure:
        return read_image(source, name=name).shape[1::-1]
    return header.width, header.height


def exif_orientation(image: Image.Image) -> int:
    """1 to 8, from an image's EXIF block alone; 1, as it is, where that is missing or damaged.

    Pillow's own ``getexif`` and ``exif_transpose`` ask XMP as well, which OpenCV does not.

    >>> exif_orientation(Image.new('L', (3, 2)))
    1
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get('exif', b''))
        orientation = exif.get(0x0112)
    except Exception:  # damaged blocks raise nearly anything, struct.error among it
        return 1
    return orientation if orientation in range(1, 9) else 1


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image by :func:`read_image`; in place of MMCV's LoadImageFromFile.

    Required keys: ``img_path``, ``box`` (xyxy in pixels of the full image as it is shown, may be
    None or absent). Added keys: ``img`` (H, W, 3) uint8 BGR; ``img_shape``, its (H, W);
    ``ori_shape``, the (H, W) of the full image. Modified keys: ``box``, in pixels of ``img``.

    Args:
        reduce: Options of :func:`choose_reduction` (``min_edge``, ``object_size``, ``scale``,
            ``reducing_gap``, each at least 1): a JPEG is decoded at 1/2, 1/4 or 1/8 of its size
            where its views hardly show it. ``dict()`` takes its defaults. Defaults to None: all
            images are decoded in full.
        max_pixels: Most pixels of an image, at most the default: 178,956,970.
        backend_args: Options of MMEngine's file backend. Defaults to None.

    Raises:
        ValueError: If an option is out of range; as :func:`read_image`.
        FileNotFoundError: If a local file does not exist.

    >>> LoadImage(reduce=dict(min_edge=128))
    LoadImage(reduce={'min_edge': 128}, max_pixels=178956970, backend_args=None)
    """

    def __init__(
        self,
        reduce: dict | None = None,
        max_pixels: int = MAX_PIXELS,
        backend_args: dict | None = None,
    ) -> None:
        known = list(inspect.signature(choose_reduction).parameters)[3:]
        for option, value in (reduce or {}).items():
            if option not in known:
                raise ValueError(f'LoadImage reduce takes {", ".join(known)}, not {option}')
            if not value >= 1:  # NaN too
                raise ValueError(f'LoadImage reduce {option} must be at least 1, got {value}')
        if not 1 <= max_pixels <= MAX_PIXELS:
            raise ValueError(f'LoadImage max_pixels must be 1 to {MAX_PIXELS}, got {max_pixels}')
        self.reduce = reduce
        self.max_pixels = max_pixels
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``, and scale ``box``."""
        if results.get('img_path') is None and 'img' in results:  # mmpretrain's inferencers load it
            results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
            return results
        path, box = results['img_path'], results.get('box')
        content = fileio.get(path, backend_args=self.backend_args)
        header, reduction = None, 1
        if self.reduce is not None:
            header = _check_header(content, path, self.max_pixels)
        if header is not None and header.jpeg:
            reduction = choose_reduction(header.height, header.width, box, **self.reduce)
        image = read_image(content, reduction, self.max_pixels, path)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        if reduction > 1:
            results['ori_shape'] = (header.height, header.width)
            if box is not None:
                results['box'] = _reduce_box(box, header, reduction)
        return results

    def __repr__(self) -> str:
        options = f'reduce={self.reduce}, max_pixels={self.max_pixels}'
        return f'LoadImage({options}, backend_args={self.backend_args})'


class _Header(NamedTuple):
    width: int  # as the image is shown
    height: int
    orientation: int
    jpeg: bool
    sure: bool  # that OpenCV shows it so: a JPEG, or nothing turns it


def _unreadable(name: object, fault: str) -> ValueError:
    return ValueError(f'{name} {fault}; restore the file or take it out of the data set')


def _check_header(
    content: bytes | io.BufferedReader, name: object, max_pixels: int = MAX_PIXELS
) -> _Header | None:
    """The header, or None of a format that Pillow does not know; checks the number of pixels."""
    try:
        image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
    except Image.DecompressionBombError as error:
        raise _unreadable(name, f'is too large: {error}') from error
    except Exception:  # damaged files raise nearly anything
        return None
    width, height = image.size
    if width * height > max_pixels:
        raise _unreadable(name, f'is too large: {width} x {height}, more than {max_pixels} pixels')
    orientation = exif_orientation(image)
    if orientation in _TRANSPOSED:
        height, width = width, height
    jpeg = image.format in ('JPEG', 'MPO')  # MPO: a JPEG with further pictures behind it
    plain = orientation == 1 and image.format != 'TIFF'  # whose orientation is in its own tags
    return _Header(width, height, orientation, jpeg, jpeg or plain)


def _has_jpeg_end(content: bytes) -> bool:
    """Whether an end marker follows the start of a JPEG's first scan.

    Inside of a scan 0xFF is escaped, so no pixels look like the marker; what lies before, such
    as a thumbnail with an end of its own, is skipped; bytes behind the end are allowed.
    """
    place = 2
    while content[place : place + 1] == b'\xff' and content[place + 1 : place + 2] != b'\xda':
        fill = content[place + 1 : place + 2] == b'\xff'
        length = int.from_bytes(content[place + 2 : place + 4], 'big')
        place += 1 if fill else 2 + length
    return content.find(b'\xff\xd9', place) >= 0


def _reduce_box(box: Sequence[float], header: _Header, reduction: int) -> np.ndarray:
    """Scale a box; the file's last, incomplete block of pixels comes first in a turned image."""
    x = -header.width % reduction if header.orientation in _X_REVERSED else 0
    y = -header.height % reduction if header.orientation in _Y_REVERSED else 0
    offset = np.array([x, y, x, y], dtype=np.float32)
    return (np.asarray(box, dtype=np.float32) + offset) / np.float32(reduction)
