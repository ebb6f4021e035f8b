"""What a data set is made of: its images, and as a benchmark its reader, counts and source."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

Sides = tuple[int, int]
"""Training side, test side."""


class Record(NamedTuple):
    """One image of a data set.

    >>> Record('images/001.jpg', label=0, is_train=True, box=(10, 20, 110, 220)).is_query is None
    True
    """

    path: str
    label: int  # Index into the data set's class names, from 0
    is_train: bool | None  # The official split; None where the data set has none
    box: tuple[float, float, float, float] | None
    """The object's x1, y1, x2, y2 in pixels of the image file, or None; x2 and y2 lie outside."""
    is_query: bool | None = None
    """Of a test image: query or gallery. None where each test image is a query to the others."""


class Reading(NamedTuple):
    """A data set as its files describe it: all images, and the name of each class.

    >>> Reading([Record('a.jpg', 0, None, None)], classes=['owl']).classes
    ['owl']
    """

    records: list[Record]
    classes: list[str]
    super_classes: list[str] | None = None
    """Name of each class's super-class; None where the data set has none."""
    train_classes: frozenset[int] | None = None
    """Labels that train in the open-set protocol, where that is neither the first half of the
    classes nor told by the official split."""
    remarks: tuple[str, ...] = ()
    """What the reader left out or assumed, a sentence each; the user is warned of it."""


class Published(NamedTuple):
    """The counts of a full official archive, and in ``source`` where they stand.

    >>> cub = Published('Wah et al.', (100, 100), (5864, 5924), closed_images=(5994, 5794))
    >>> cub.classes, cub.images
    (200, 11788)
    """

    source: str
    open_classes: Sides  # Classes on either side of the open-set protocol
    open_images: Sides | None = None
    """Images on either side of it; None where no source confirms them, but ``closed_images``."""
    closed_images: Sides | None = None
    """Images on either side of the official closed-set split; None where there is none."""
    open_by_lists: bool = False
    """The open-set numbers are those of optional lists (``Reading.train_classes``)."""
    queries: int | None = None
    """Queries on the test side; None where each test image is a query to the others."""

    @property
    def classes(self) -> int:
        """Classes in all."""
        return sum(self.open_classes)

    @property
    def images(self) -> int:
        """Images in all."""
        return sum(self.open_images or self.closed_images)


class File(NamedTuple):
    """One file that a data set consists of, such as ``File('lists.tar', 'md5:0123...')``."""

    name: str  # Its official name, under which it lies in the folder of archives
    digest: str | None = None
    """'sha256:HEX' or 'md5:HEX', published and confirmed; None where no one publishes one."""
    place: str = ''  # Folder in the data set's folder that it is unpacked or copied to


class Source(NamedTuple):
    """The files of a data set, and where they go.

    >>> Source('Research only.', 'data/birds', (File('birds.zip'),)).boxes
    True
    """

    terms: str  # Terms of use and citation, in a sentence or two
    root: str  # The folder that the configs read
    files: tuple[File, ...]
    base: str = ''  # Address that the files' names follow; empty where only a person can fetch them
    top: str = ''  # The archive's own top folder, which becomes ``root``; empty where it has none
    boxes: bool = True  # Whether boxes of the objects come with it


class Benchmark(NamedTuple):
    """A data set that FineGrainedDataset's ``reader`` can name; a module here defines each.

    >>> Benchmark(read=lambda root: Reading([], []), title='My birds').read('data/birds').classes
    []
    """

    read: Callable[[str | Path], Reading]
    """Folder (or file) of the data set -> its images and classes. Opens no image. Raises
    FileNotFoundError, naming source and layout, if a file of the archive is missing; ValueError,
    naming file and entry, if one is damaged or they disagree."""
    title: str
    homepage: str = ''
    layout: str = ''
    """The files that ``read`` expects, for its errors; empty where it makes them itself."""
    published: Published | None = None
    """Counts of the full official archive; None for data of one's own."""
    source: Source | None = None
    """Where the archive comes from; None where tools/prepare_data.py cannot fetch it."""
    name: str = ''  # Name in ``BENCHMARKS``. Defaults to the name of the module
