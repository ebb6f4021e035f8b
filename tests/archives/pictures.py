"""The pictures of every tiny archive, and how its files are written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tiny_data import HEIGHT, WIDTH, picture

ANNOTATION = """\
<annotation>
	<folder>{folder}</folder>
	<filename>{name}</filename>
	<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
	<segment>0</segment>
{objects}</annotation>
"""
OBJECT = """\
	<object>
		<name>{name}</name>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>
		</bndbox>
	</object>
"""


def annotation(folder: str, name: str, kind: str, boxes: Sequence[tuple]) -> str:
    """A PASCAL VOC annotation with an object of a kind in each box."""
    objects = ''.join(OBJECT.format(name=kind, box=box) for box in boxes)
    return ANNOTATION.format(folder=folder, name=name, width=WIDTH, height=HEIGHT, objects=objects)


class Sample(NamedTuple):
    """One picture to write."""

    number: int  # Running number over all classes, from 1
    label: int
    index: int  # Number within the class, from 0
    is_train: bool  # Whether it lies in the first half of its class
    image: np.ndarray
    box: tuple[int, int, int, int]  # x1, y1, x2, y2; x2 and y2 are the first column and row outside


def samples(num_classes: int, images_per_class: int) -> Iterator[Sample]:
    """All pictures of a tiny data set, class by class."""
    for label in range(num_classes):
        for index in range(images_per_class):
            number = label * images_per_class + index + 1
            is_train = index < images_per_class / 2
            # There are pictures of ten classes.
            yield Sample(number, label, index, is_train, *picture(label % 10, index))


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines))
