"""What a data set is made of: records, their reading, and a benchmark's facts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Record(NamedTuple):
    """One image of a data set."""

    path: str
    """Path of the image file."""
    label: int
    """Index into the data set's class names, from 0."""
    is_train: bool | None
    """The official split; None where the data set has none."""
    box: tuple[float, float, float, float] | None
    """The object's x1, y1, x2, y2 in pixels of the image file, or None; x2 and y2 lie outside."""
    is_query: bool | None = None
    """Of a test image: query or gallery. None where each test image is a query to the others."""


class Reading(NamedTuple):
    """A data set as its files describe it."""

    records: list[Record]
    """All images."""
    classes: list[str]
    """Name of each class."""
    super_classes: list[str] | None = None
    """Name of each class's super-class; None where the data set has none."""
    train_classes: frozenset[int] | None = None
    """Labels that train in the open-set protocol, where that is neither the first half of the
    classes nor told by the official split."""


class Benchmark(NamedTuple):
    """A data set that FineGrainedDataset's ``reader`` can name."""

    read: Callable[[str | Path], Reading]
    """Folder (or file) of the data set -> its images and classes."""
    published: Any = None
    """Counts of the full official archive; None for data of one's own."""
    source: Any = None
    """Where the archive comes from; None for data of one's own."""
