"""What the readers share: missing files, text lists, MATLAB files and annotation XML."""

import codecs
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import scipy.io

from ..record import Benchmark

Box = tuple[float, float, float, float]


def need(root: Path, names: Sequence[str], benchmark: Benchmark) -> None:
    """Raise FileNotFoundError, naming source and layout, unless ``root`` has all ``names``."""
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        files = ', '.join(file.name for file in benchmark.source.files) if benchmark.source else ''
        source = f'{benchmark.homepage} {f"({files})" if files else ""}'.strip()
        raise FileNotFoundError(
            f'{benchmark.title} not found: {root.absolute()} has no {", ".join(missing)}.\n'
            f'Official source: {source or "your own images"}\n'
            f'Expected layout:\n{benchmark.layout}\n'
            'Unpack it there (tools/prepare_data.py fetches and checks it), or give its folder '
            'with --cfg-options data_root=FOLDER'
        )


def read_text(path: Path) -> str:
    """Read a text file in UTF-8; ValueError names a file in another encoding and the remedy."""
    content = path.read_bytes()
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
        guess = 'utf-16' if content.startswith(marks) else 'cp1252'
        raise ValueError(
            f'{path} is not UTF-8 text (byte {error.start}); save it as UTF-8, perhaps with: '
            f'iconv -f {guess} -t utf-8 OLD > NEW'
        ) from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line; blank ends and blank lines are dropped."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def read_columns(
    path: Path, columns: str, skip: int = 0, comment: str | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Number and values of each line; ValueError if one has more or fewer than the columns.

    The first ``skip`` lines and those that begin with ``comment`` are no entries.
    """
    for number, line in read_lines(path):
        values = line.split()
        if number > skip and not (comment and line.startswith(comment)):
            if len(values) != len(columns.split()):
                raise ValueError(f'{path}, line {number}: expected "{columns}", got {line!r}')
            yield number, values


def read_table(path: Path, columns: str = 'id value') -> dict[str, str]:
    """A file of lines ``id value``: id -> the rest of the line; ValueError if an id comes twice."""
    table: dict[str, str] = {}
    for number, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        if not rest:
            raise ValueError(f'{path}, line {number}: expected "{columns}", got {line!r}')
        if key in table:
            raise ValueError(f'{path}, line {number}: {key} is listed a second time')
        table[key] = rest[0]
    return table


def parse_box(text: str, names: str, place: str) -> Box:
    """Four finite numbers, or ValueError; ``names`` and ``place`` say of what, where."""
    try:
        numbers = tuple(float(value) for value in text.split())
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f'{place}: expected {names}, got {text!r}')
    return numbers


def from_one_based(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box from the first to the last pixel inside, counted from 1 -> ours.

    >>> from_one_based(1, 1, 48, 40)
    (0.0, 0.0, 48.0, 40.0)
    """
    return float(x1) - 1, float(y1) - 1, float(x2), float(y2)


def read_matlab(path: Path, *names: str) -> list[np.ndarray]:
    """Variables of a MATLAB file, flat: numbers, strings of a cell array, or structs."""
    try:
        content = scipy.io.loadmat(path, squeeze_me=True, variable_names=names)
        known = [name for name, *_ in scipy.io.whosmat(path)]
    except Exception as error:  # a damaged file makes SciPy raise almost anything
        raise ValueError(f'{path} is not a readable MATLAB file: {error}') from error
    for name in names:
        if name not in content:
            raise ValueError(f'{path} has no variable {name}, only {known}')
    return [np.atleast_1d(content[name]) for name in names]


def read_xml_boxes(path: Path) -> list[Box]:
    """The boxes of a PASCAL VOC annotation as they are written: xmin, ymin, xmax, ymax."""
    try:
        boxes = ElementTree.parse(path).getroot().iter('bndbox')
        sides = 'xmin', 'ymin', 'xmax', 'ymax'
        return [tuple(float(box.findtext(side, '')) for side in sides) for box in boxes]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ValueError(f'{path} is not a readable annotation: {error}') from error


def agree(table: dict, key: object, value: object, place: str) -> None:
    """Note the value of a key; ValueError if it had another before."""
    if table.setdefault(key, value) != value:
        raise ValueError(f'{place}: {key!r} belongs to {value!r} and to {table[key]!r}')


def area(box: Box) -> float:
    """Area of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])
