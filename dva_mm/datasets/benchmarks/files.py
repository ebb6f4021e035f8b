"""What the readers share: missing files, text lists, MATLAB files and annotation XML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import scipy.io

Box = tuple[float, float, float, float]


def need(root: Path, names: Sequence[str], data_set: str, source: str, layout: str) -> None:
    """Raise FileNotFoundError, naming source and layout, unless ``root`` has all ``names``."""
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        raise FileNotFoundError(
            f'{data_set} not found: {root.absolute()} has no {", ".join(missing)}.\n'
            f'Official source: {source}\nExpected layout:\n{layout}\n'
            'Unpack it there (tools/prepare_data.py fetches and checks it), or give its folder '
            'with --cfg-options data_root=FOLDER'
        )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line; blank ends and blank lines are dropped."""
    for number, line in enumerate(path.read_text(encoding='utf-8-sig').splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def read_columns(
    path: Path, columns: str, skip: int = 0, comment: str | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Number and values of each line after the first ``skip`` ones.

    Args:
        path: The list.
        columns: The names of its columns, separated by blanks.
        skip: Number of its first lines that are no entries. Defaults to 0.
        comment: What a line begins with that is no entry. Defaults to None.

    Raises:
        ValueError: if a line has more or fewer values.
    """
    for number, line in read_lines(path):
        values = line.split()
        if number > skip and not (comment and line.startswith(comment)):
            if len(values) != len(columns.split()):
                raise ValueError(f'{path}, line {number}: expected "{columns}", got {line!r}')
            yield number, values


def read_table(path: Path, columns: str = 'id value') -> dict[str, str]:
    """A file of lines ``id value``: id -> the rest of the line.

    Raises:
        ValueError: if a line has no value or an id comes twice.
    """
    table: dict[str, str] = {}
    for number, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        if not rest:
            raise ValueError(f'{path}, line {number}: expected "{columns}", got {line!r}')
        if key in table:
            raise ValueError(f'{path}, line {number}: {key} is listed a second time')
        table[key] = rest[0]
    return table


def parse_numbers(text: str, count: int, names: str, place: str) -> tuple[float, ...]:
    """``count`` numbers from a text such as '1 2.5 3 4'; ``names`` and ``place`` say what, where.

    Raises:
        ValueError: if there are more, fewer, or none.
    """
    try:
        numbers = tuple(float(value) for value in text.split())
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise ValueError(f'{place}: expected {names}, got {text!r}')
    return numbers


def from_one_based(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box from the first to the last pixel inside, counted from 1 -> ours."""
    return float(x1) - 1, float(y1) - 1, float(x2), float(y2)


def read_matlab(path: Path, *names: str) -> list[np.ndarray]:
    """Variables of a MATLAB file, flat: numbers, strings of a cell array, or structs.

    Raises:
        ValueError: if the file is damaged or lacks a variable.
    """
    try:
        content = scipy.io.loadmat(path, squeeze_me=True)
    except Exception as error:  # a damaged file makes SciPy raise almost anything
        raise ValueError(f'{path} is not a readable MATLAB file: {error}') from error
    for name in names:
        if name not in content:
            known = [key for key in content if not key.startswith('__')]
            raise ValueError(f'{path} has no variable {name}, only {known}')
    return [np.atleast_1d(content[name]) for name in names]


def read_xml_boxes(path: Path) -> list[Box]:
    """The boxes of a PASCAL VOC annotation as they are written: xmin, ymin, xmax, ymax.

    Raises:
        ValueError: if the file is missing or no such annotation.
    """
    try:
        objects = ElementTree.parse(path).getroot().iter('bndbox')
        return [
            tuple(float(box.findtext(side, '')) for side in ('xmin', 'ymin', 'xmax', 'ymax'))
            for box in objects
        ]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ValueError(f'{path} is not a readable annotation: {error}') from error


def area(box: Box) -> float:
    """Area of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])
