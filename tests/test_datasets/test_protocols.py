"""Which images train and which test."""

import random

import pytest

from dva_mm.datasets import Record, select_closed, select_open


def images(counts: list[int], official: bool = False) -> list[Record]:
    """Records of so many images a class, in a shuffled order."""
    records = [
        Record(f'{label}/{index:02d}.jpg', label, index % 3 == 0 if official else None, None)
        for label, count in enumerate(counts)
        for index in range(count)
    ]
    random.Random(0).shuffle(records)
    return records


@pytest.mark.parametrize(('num_classes', 'train'), [(2, [0]), (6, [0, 1, 2]), (7, [0, 1, 2])])
@pytest.mark.parametrize('official', [False, True])
def test_open_halves_the_classes(num_classes: int, train: list[int], official: bool):
    records = images([3] * num_classes, official)
    chosen = select_open(records, num_classes, 'train')
    rest = select_open(records, num_classes, 'test')
    assert sorted({record.label for record in chosen}) == train
    assert sorted(chosen + rest) == sorted(records)
    assert {record.label for record in rest} == set(range(num_classes)) - set(train)


def test_open_counts_classes_without_images():
    records = [record for record in images([2] * 8) if record.label != 3]
    assert {record.label for record in select_open(records, 8, 'train')} == {0, 1, 2}


def test_closed_takes_the_official_split():
    records = images([5, 4], official=True)
    assert select_closed(records, 2, 'train') == [r for r in records if r.is_train]
    assert select_closed(records, 2, 'test') == [r for r in records if not r.is_train]


def test_closed_without_official_split_halves_each_class_by_path():
    records = images([4, 5, 1])
    train = [record.path for record in select_closed(records, 3, 'train')]
    test = [record.path for record in select_closed(records, 3, 'test')]
    assert train == ['0/00.jpg', '0/01.jpg', '1/00.jpg', '1/01.jpg', '1/02.jpg', '2/00.jpg']
    assert test == ['0/02.jpg', '0/03.jpg', '1/03.jpg', '1/04.jpg']
