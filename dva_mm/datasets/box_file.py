"""The file of an image set's boxes: JSON lines, a header and one line an image.

The header names the source, its options and the images (number, fingerprint). Sizes and boxes are
in pixels of the image as it is shown: the EXIF orientation is applied.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dva_mm
from dva_mm.files import replace_atomically

from .image import image_size

FORMAT = 'dva_mm boxes'
VERSION = 1
FALLBACK = 'fallback'
REMEDY = 'tools/cache_boxes.py CONFIG --detector type=TYPE --split all'
CHECKED_SIZES = 4000
"""Of so many images, evenly spaced, the size is read when a file is loaded."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxEntry:
    """One image's box.

    ``image`` is the path below the data root, with '/'; ``x2`` and ``y2`` are the first column and
    row outside. A higher ``score`` is surer. ``source`` names what found the box; 'fallback':
    nothing did, it is the whole image, and the score is 0.
    """

    image: str
    width: int
    height: int
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    source: str

    @property
    def box(self) -> Box:
        """x1, y1, x2, y2 in pixels."""
        return self.x1, self.y1, self.x2, self.y2


def image_root(data_root: str | Path) -> Path:
    """The folder of a data set; of one that is a file, such as a CSV, the file's folder.

    >>> image_root('/data/birds/').as_posix()
    '/data/birds'
    """
    root = Path(os.path.abspath(os.path.expanduser(data_root)))
    return root.parent if root.is_file() else root


def relative_paths(paths: Iterable[str | Path], data_root: str | Path) -> list[str]:
    """Paths below the data root, as a file of boxes names them.

    Raises:
        ValueError: If a path lies elsewhere.

    >>> relative_paths(['/data/birds/a/0.jpg'], '/data/birds')
    ['a/0.jpg']
    """
    root = image_root(data_root)
    relative = []
    for path in paths:
        name = os.path.relpath(os.path.abspath(os.path.expanduser(path)), root)
        if name.startswith(os.pardir):
            raise ValueError(f'the image {path} does not lie below the data root {root}')
        relative.append(Path(name).as_posix())
    return relative


def fingerprint(images: Iterable[str]) -> str:
    """SHA-256 over the sorted relative paths of a set of images, in hexadecimal.

    >>> fingerprint(['b.jpg', 'a.jpg']) == fingerprint(['a.jpg', 'b.jpg'])
    True
    """
    return hashlib.sha256('\n'.join(sorted(images)).encode()).hexdigest()


def make_header(source: str, options: dict, images: Sequence[str]) -> dict:
    """The first line of a file of boxes: their source, its options as JSON values, all images.

    >>> make_header('center', dict(share=0.7), ['a.jpg'])['num_images']
    1
    """
    return dict(
        format=FORMAT,
        version=VERSION,
        source=source,
        options=options,
        num_images=len(images),
        fingerprint=fingerprint(images),
        created_by=f'dva_mm {dva_mm.__version__}',
    )


def write_box_file(file: str | Path, header: dict, entries: Iterable[BoxEntry]) -> None:
    """Write a file of boxes, sorted by image; it appears complete or not at all.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / 'boxes.jsonl'
    >>> entry = BoxEntry('a.jpg', 30, 20, 5, 4, 25, 16, 0.7, 'patch-pca')
    >>> write_box_file(file, make_header('patch-pca', dict(keep=0.9), ['a.jpg']), [entry])
    >>> read_box_file(file)[1]['a.jpg'].box
    (5, 4, 25, 16)
    """
    lines = [header, *map(asdict, sorted(entries, key=lambda entry: entry.image))]
    with replace_atomically(file) as part, part.open('w', encoding='utf-8') as text:
        text.writelines(json.dumps(line) + '\n' for line in lines)


def read_header(file: str | Path) -> dict:
    """The header of a file of boxes.

    Raises:
        FileNotFoundError: If the file does not exist; says how to make it.
        ValueError: If it is no file of boxes, or of another version.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f'there is no file of boxes {file.absolute()}; write it with {REMEDY} --out {file}'
        )
    with file.open(encoding='utf-8', errors='replace') as lines:
        line = lines.readline()
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise ValueError(f'{file} is no file of boxes: its first line is {line[:60]!r}')
    if header['version'] != VERSION:
        raise ValueError(
            f'{file} has version {header["version"]} of the format, this dva_mm reads {VERSION}; '
            'write it again'
        )
    return header


def parse_entry(line: str) -> BoxEntry:
    """An entry from its line of JSON.

    Raises:
        ValueError: If the line is torn, has other fields, or its box is not inside the image.

    >>> entry = BoxEntry('a.jpg', 30, 20, 5, 4, 25, 16, 0.7, 'patch-pca')
    >>> parse_entry(json.dumps(asdict(entry))) == entry
    True
    """
    try:
        entry = BoxEntry(**json.loads(line))
        numbers = [float(value) for value in (*entry.box, entry.score)]
    except TypeError as error:
        raise ValueError(f'no entry: {error}') from error
    x1, y1, x2, y2 = entry.box
    inside = 0 <= x1 < x2 <= entry.width and 0 <= y1 < y2 <= entry.height
    if not inside or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f'the box {entry.box} of {entry.image} (score {entry.score}) does not lie inside its '
            f'{entry.width} x {entry.height} image'
        )
    return entry


def read_box_file(file: str | Path) -> tuple[dict, dict[str, BoxEntry]]:
    """Header and entries by image.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is no file of boxes, truncated, edited, or a box is not inside its image.
    """
    file = Path(file).expanduser()
    header = read_header(file)
    entries = {}
    for number, line in enumerate(file.read_text(encoding='utf-8').splitlines()[1:], start=2):
        try:
            entry = parse_entry(line)
        except ValueError as error:
            raise ValueError(f'{file}, line {number}: {error}') from error
        if entry.image in entries:
            raise ValueError(f'{file}, line {number}: {entry.image} is there twice')
        entries[entry.image] = entry
    if len(entries) != header['num_images']:
        raise ValueError(
            f'{file} is not whole: {len(entries)} boxes, but its header counts '
            f'{header["num_images"]} images; write it again'
        )
    if fingerprint(entries) != header['fingerprint']:
        raise ValueError(f'{file}: its images are not those of its header; write it again')
    return header, entries


def load_box_file(
    file: str | Path, data_root: str | Path, paths: Sequence[str | Path]
) -> dict[str, Box]:
    """The boxes of some images, checked against the sizes of up to ``CHECKED_SIZES`` of them.

    Args:
        file: A file of boxes. It may hold more images than those asked for.
        data_root: Folder of the data set.
        paths: Image files below it.

    Returns:
        Box by path as given: x1, y1, x2, y2 in pixels; a fallback's is the whole image.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: As :func:`read_box_file`; if it lacks an image, or one has another size.
    """
    header, entries = read_box_file(file)
    images = relative_paths(paths, data_root)
    if missing := [image for image in images if image not in entries]:
        raise ValueError(
            f'{file} was made for other images (fingerprint {header["fingerprint"][:12]}, '
            f'{header["num_images"]} images): it lacks {len(missing)} of the {len(images)} asked '
            f'for, first {missing[0]}; write one for them with {REMEDY}'
        )
    step = max(1, math.ceil(len(images) / CHECKED_SIZES))
    for path, image in list(zip(paths, images, strict=True))[::step]:
        entry, size = entries[image], image_size(Path(path).expanduser())
        if size != (entry.width, entry.height):
            raise ValueError(
                f'{file}: the boxes were made for another version of the images: {path} has '
                f'{size[0]} x {size[1]} pixels, the file says {entry.width} x {entry.height}; '
                'write it again'
            )
    return {str(path): entries[image].box for path, image in zip(paths, images, strict=True)}
