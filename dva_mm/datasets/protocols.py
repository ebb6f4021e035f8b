"""Open-set and closed-set selection of records (pure functions)."""

import os.path
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from .record import Reading, Record


def open_train_classes(reading: Reading) -> frozenset[int]:
    """The labels that train in the open-set protocol; all others test.

    The ones that the reader names; else those of the official training images, where the split is
    by class; else the first half of the classes (of an odd number the smaller half).
    """
    if reading.train_classes is not None:
        return reading.train_classes
    if is_split_by_class(reading.records):
        return frozenset(record.label for record in reading.records if record.is_train)
    return frozenset(range(len(reading.classes) // 2))


def is_split_by_class(records: Collection[Record]) -> bool:
    """Whether there is an official split, with images and no common class on its two sides."""
    if any(record.is_train is None for record in records):
        return False
    train = {record.label for record in records if record.is_train}
    test = {record.label for record in records if not record.is_train}
    return bool(train and test) and not train & test


def select_open(reading: Reading, split: str) -> list[Record]:
    """Open-set: some of the classes train (``open_train_classes``), the others test.

    >>> records = [Record(f'{i}.jpg', i, None, None) for i in range(4)]
    >>> [record.path for record in select_open(Reading(records, list('abcd')), 'test')]
    ['2.jpg', '3.jpg']
    """
    train = open_train_classes(reading)
    return [record for record in reading.records if (record.label in train) == (split == 'train')]


def select_closed(reading: Reading, split: str) -> list[Record]:
    """Closed-set: the same classes on both sides, the data set's official images on each.

    A data set without an official split gets one: of each class's images, in the order of their
    paths, the first half (rounded up) trains. Neighbours by name, often shots of one scene, so
    rarely end up on both sides.

    Raises:
        ValueError: if the official split has no class on both sides.

    >>> records = [Record(f'{i}.jpg', i // 2, None, None) for i in range(4)]
    >>> [record.path for record in select_closed(Reading(records, ['a', 'b']), 'test')]
    ['1.jpg', '3.jpg']
    """
    records = reading.records
    if is_split_by_class(records):
        raise ValueError(
            "protocol='closed' needs classes with training and test images; the official split of "
            "this data set has no class on both sides. Use protocol='open'"
        )
    if all(record.is_train is not None for record in records):
        return [record for record in records if record.is_train == (split == 'train')]
    by_class = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    chosen = []
    for label in range(len(reading.classes)):
        images = sorted(by_class[label], key=lambda record: record.path)
        half = (len(images) + 1) // 2
        chosen += images[:half] if split == 'train' else images[half:]
    return chosen


PROTOCOLS: dict[str, Callable[[Reading, str], list[Record]]] = {
    'open': select_open,
    'closed': select_closed,
}
"""Selection by the name that FineGrainedDataset's ``protocol`` takes."""


def held_out_classes(labels: Collection[int], share: float) -> frozenset[int]:
    """The last of the training labels: their share, to the nearest number, but at least two.

    Raises:
        ValueError: if fewer than two labels would be left to train.

    >>> sorted(held_out_classes(range(10), 0.2))
    [8, 9]
    """
    ordered = sorted(set(labels))
    count = max(2, int(share * len(ordered) + 0.5))
    if len(ordered) - count < 2:
        raise ValueError(
            f'val_classes={share} holds out {count} of {len(ordered)} training classes; at least '
            'two must be left to train. Lower it, or leave it out'
        )
    return frozenset(ordered[-count:])


def select_side(
    reading: Reading,
    protocol: str,
    split: str,
    val_classes: float = 0.0,
    gallery: str | None = None,
) -> list[Record]:
    """The images of one side; queries come before their gallery.

    Args:
        reading: The data set.
        protocol: Name in ``PROTOCOLS``.
        split: 'train', 'val' (the held-out classes of the training side) or 'test'.
        val_classes: Share of the training classes held out of 'train' for 'val'. Defaults to 0.
        gallery: 'train' gives the test side a gallery of all training images, and sets
            ``is_query`` of all. Defaults to None.

    Raises:
        ValueError: if the protocol does not suit the data set, too few classes are left, or some
            images of the side are queries or gallery and others are neither.

    >>> records = [Record(f'{i}.jpg', i // 2, i % 2 == 0, None) for i in range(4)]
    >>> side = select_side(Reading(records, ['a', 'b']), 'closed', 'test', gallery='train')
    >>> [(record.path, record.is_query) for record in side]
    [('1.jpg', True), ('3.jpg', True), ('0.jpg', False), ('2.jpg', False)]
    """
    select = PROTOCOLS[protocol]
    if split == 'test':
        chosen = select(reading, 'test')
        if gallery is None:
            return _queries_first(chosen)
        if any(record.is_query is not None for record in chosen):
            raise ValueError(f'gallery={gallery!r}: this data set has a gallery of its own')
        queries = [record._replace(is_query=True) for record in chosen]
        return queries + [record._replace(is_query=False) for record in select(reading, 'train')]
    chosen = _queries_first(select(reading, 'train'))
    if not val_classes:
        return chosen
    held_out = held_out_classes({record.label for record in chosen}, val_classes)
    return [record for record in chosen if (record.label in held_out) == (split == 'val')]


def _queries_first(records: list[Record]) -> list[Record]:
    if len({record.is_query is None for record in records}) > 1:
        raise ValueError(
            "queries and a gallery need protocol='closed', or a split with classes of its own: by "
            'this protocol some images of a side are one of them and others are neither'
        )
    return sorted(records, key=lambda record: record.is_query is False)


def find_repeats(train: Iterable[Record], evaluated: Iterable[Record]) -> list[str]:
    """Find the images that are evaluated twice, or trained on and evaluated.

    Such an image finds itself, whatever the encoder. In training it may be listed several times.
    Returns their paths as the records have them, each once.

    >>> a, b = (Record(path, 0, None, None) for path in ('a.jpg', 'b.jpg'))
    >>> find_repeats([a, a], [b]), find_repeats([a], [a, b, b])
    ([], ['a.jpg', 'b.jpg'])
    """
    seen = {os.path.normpath(record.path) for record in train}
    repeats = {}
    for record in evaluated:
        path = os.path.normpath(record.path)
        if path in seen:
            repeats[record.path] = None
        seen.add(path)
    return list(repeats)
