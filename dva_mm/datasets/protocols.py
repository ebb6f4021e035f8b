"""Open-set and closed-set selection of records (pure functions)."""

from collections import defaultdict

from .readers import Record


def select_open(records: list[Record], num_classes: int, split: str) -> list[Record]:
    """Open-set: the first half of the classes trains, the other half tests.

    Of an odd number of classes the smaller half trains.

    Args:
        records: All images of the data set.
        num_classes: Number of its classes.
        split: 'train' or 'test'.
    """
    half = num_classes // 2
    return [record for record in records if (record.label < half) == (split == 'train')]


def select_closed(records: list[Record], num_classes: int, split: str) -> list[Record]:
    """Closed-set: the same classes on both sides, the data set's official images on each.

    A data set without an official split gets one: of each class's images, in the order of their
    paths, the first half (rounded up) trains. Neighbours by name, often shots of one scene, so
    rarely end up on both sides.
    """
    if all(record.is_train is not None for record in records):
        return [record for record in records if record.is_train == (split == 'train')]
    by_class = defaultdict(list)
    for record in records:
        by_class[record.label].append(record)
    chosen = []
    for label in range(num_classes):
        images = sorted(by_class[label], key=lambda record: record.path)
        half = (len(images) + 1) // 2
        chosen += images[:half] if split == 'train' else images[half:]
    return chosen


PROTOCOLS = {'open': select_open, 'closed': select_closed}
"""Selection by the name that FineGrainedDataset's ``protocol`` takes."""
