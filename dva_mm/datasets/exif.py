"""How an image is shown: the EXIF orientation, as OpenCV and MMCV's loader apply it."""

from pathlib import Path

from PIL import Image

_ORIENTATION, TRANSPOSED = 0x0112, (5, 6, 7, 8)  # EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(image: Image.Image) -> int:
    """1 to 8, from an image's EXIF block alone; 1, as it is, where that is missing or damaged.

    Pillow's own ``getexif`` and ``exif_transpose`` ask XMP as well, which OpenCV, and so MMCV's
    loader, does not.
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get('exif', b''))
        orientation = exif.get(_ORIENTATION)
    except Exception:  # damaged blocks raise nearly anything, struct.error among it
        return 1
    return orientation if orientation in _TURNS else 1


def turn_upright(image: Image.Image) -> Image.Image:
    """The image as it is shown: turned and mirrored as its EXIF orientation says."""
    orientation = exif_orientation(image)
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height of an image as it is shown, read from the file's head alone."""
    with Image.open(path) as image:
        width, height = image.size
        turned = exif_orientation(image) in TRANSPOSED
    return (height, width) if turned else (width, height)
