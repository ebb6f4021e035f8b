"""Which images train and which test."""

import random

import pytest

from dva_mm.datasets import Reading, Record, select_closed, select_open, select_side
from dva_mm.datasets.protocols import PROTOCOLS, find_repeats, held_out_classes


def images(counts: list[int], official: bool = False) -> list[Record]:
    """Records of so many images a class, in a shuffled order."""
    records = [
        Record(f'{label}/{index:02d}.jpg', label, index % 3 == 0 if official else None, None)
        for label, count in enumerate(counts)
        for index in range(count)
    ]
    random.Random(0).shuffle(records)
    return records


def reading(records: list[Record], num_classes: int, train: set[int] | None = None) -> Reading:
    """A data set of such records."""
    names = [str(label) for label in range(num_classes)]
    return Reading(records, names, train_classes=train and frozenset(train))


def labels_of(records: list[Record]) -> list[int]:
    return sorted({record.label for record in records})


@pytest.mark.parametrize(('num_classes', 'train'), [(2, [0]), (6, [0, 1, 2]), (7, [0, 1, 2])])
@pytest.mark.parametrize('official', [False, True])
def test_open_halves_the_classes(num_classes: int, train: list[int], official: bool):
    records = images([3] * num_classes, official)
    chosen = select_open(reading(records, num_classes), 'train')
    rest = select_open(reading(records, num_classes), 'test')
    assert labels_of(chosen) == train
    assert sorted(chosen + rest) == sorted(records)
    assert set(labels_of(rest)) == set(range(num_classes)) - set(train)


def test_open_counts_classes_without_images_and_takes_those_that_the_reader_names():
    records = [record for record in images([2] * 8) if record.label != 3]
    assert labels_of(select_open(reading(records, 8), 'train')) == [0, 1, 2]
    records = images([2] * 5, official=True)
    assert labels_of(select_open(reading(records, 5, {1, 4, 0}), 'train')) == [0, 1, 4]
    assert labels_of(select_open(reading(records, 5, {1, 4, 0}), 'test')) == [2, 3]


def test_an_official_split_by_class_is_the_open_one_and_no_closed_one():
    records = [record._replace(is_train=record.label in (0, 3)) for record in images([3] * 5)]
    data = reading(records, 5)
    assert select_open(data, 'train') == [record for record in records if record.is_train]
    assert select_open(data, 'test') == [record for record in records if not record.is_train]
    for split in ('train', 'test'):
        with pytest.raises(ValueError, match="protocol='open'"):
            select_closed(data, split)


def test_a_split_with_one_side_only_or_with_gaps_is_none_by_class():
    for sides in ({0: True, 1: True}, {0: True, 1: None}):
        records = [record._replace(is_train=sides[record.label]) for record in images([2, 2])]
        assert labels_of(select_open(reading(records, 2), 'train')) == [0]
        assert select_closed(reading(records, 2), 'train')


def test_closed_takes_the_official_split():
    records = images([5, 4], official=True)
    data = reading(records, 2)
    assert select_closed(data, 'train') == [r for r in records if r.is_train]
    assert select_closed(data, 'test') == [r for r in records if not r.is_train]


def test_closed_without_official_split_halves_each_class_by_path():
    data = reading(images([4, 5, 1]), 3)
    train = [record.path for record in select_closed(data, 'train')]
    test = [record.path for record in select_closed(data, 'test')]
    assert train == ['0/00.jpg', '0/01.jpg', '1/00.jpg', '1/01.jpg', '1/02.jpg', '2/00.jpg']
    assert test == ['0/02.jpg', '0/03.jpg', '1/03.jpg', '1/04.jpg']


@pytest.mark.parametrize(
    ('count', 'share', 'held_out'), [(98, 0.2, 20), (9, 0.5, 5), (5, 0.01, 2), (4, 0.5, 2)]
)
def test_the_last_training_classes_are_held_out(count: int, share: float, held_out: int):
    labels = [3 * label for label in range(count)]
    chosen = held_out_classes(random.Random(0).sample(labels, count), share)
    assert sorted(chosen) == labels[count - held_out :]


@pytest.mark.parametrize(('count', 'share', 'held_out'), [(3, 0.1, 2), (10, 0.9, 9)])
def test_too_few_classes_left_to_train_are_refused(count: int, share: float, held_out: int):
    with pytest.raises(ValueError, match=f'val_classes={share} .* {held_out} of {count} '):
        held_out_classes(range(count), share)


@pytest.mark.parametrize(('protocol', 'share'), [('open', 0.4), ('closed', 0.2)])
def test_validation_is_the_training_images_of_the_last_training_classes(
    protocol: str, share: float
):
    data = reading(images([6] * 10, official=True), 10)
    train, val, test = (
        select_side(data, protocol, split, val_classes=share) for split in ('train', 'val', 'test')
    )
    classes = 5 if protocol == 'open' else 10
    assert labels_of(train) == list(range(classes - 2))
    assert labels_of(val) == [classes - 2, classes - 1]
    assert sorted(train + val) == sorted(select_side(data, protocol, 'train'))
    assert test == PROTOCOLS[protocol](data, 'test')


def test_queries_come_before_their_gallery_in_the_order_of_the_list():
    records = [
        record._replace(
            is_train=record.label < 2,
            is_query=None if record.label < 2 else record.path.endswith('1.jpg'),
        )
        for record in images([3] * 4)
    ]
    test = [record for record in records if not record.is_train]
    wanted = [record for record in test if record.is_query]
    wanted += [record for record in test if not record.is_query]
    assert 0 < sum(record.is_query for record in test) < len(test) and wanted != test
    assert select_side(reading(records, 4), 'open', 'test') == wanted


def test_a_gallery_of_training_images_follows_the_queries():
    records = images([4] * 6, official=True)
    chosen = select_side(reading(records, 6), 'closed', 'test', val_classes=0.5, gallery='train')
    assert chosen == [
        *(record._replace(is_query=True) for record in records if not record.is_train),
        *(record._replace(is_query=False) for record in records if record.is_train),
    ]
    with pytest.raises(ValueError, match="gallery='train'"):  # it has a gallery of its own
        select_side(mixed(), 'closed', 'test', gallery='train')


def mixed() -> Reading:
    """Training images, queries and a gallery of each class."""
    records = [
        record._replace(is_query=None if record.is_train else record.path.endswith('1.jpg'))
        for record in images([4] * 6, official=True)
    ]
    return reading(records, 6)


@pytest.mark.parametrize(('split', 'share'), [('train', 0.0), ('val', 0.7), ('test', 0.0)])
def test_queries_and_training_images_on_one_side_are_refused(split: str, share: float):
    with pytest.raises(ValueError, match="protocol='closed'"):
        select_side(mixed(), 'open', split, val_classes=share)


def test_queries_and_a_gallery_of_each_class_suit_the_closed_protocol():
    train, test = (select_side(mixed(), 'closed', split) for split in ('train', 'test'))
    assert {record.is_query for record in train} == {None}
    queries = sum(record.is_query for record in test)
    assert 0 < queries < len(test)
    assert all(record.is_query for record in test[:queries])
    # Queries come first in validation as well.
    records = [record._replace(is_query=record.path[-5] == '1') for record in images([3] * 8)]
    val = select_side(reading(records, 8), 'open', 'val', val_classes=0.5)
    assert [record.is_query for record in val] == [True] * 2 + [False] * 4


def test_images_that_are_evaluated_twice_or_trained_on_are_found():
    rng = random.Random(0)
    for _ in range(50):
        train, test = ([f'd/{rng.randrange(9)}.jpg' for _ in range(5)] for _ in range(2))
        naive = [path for path in test if test.count(path) > 1 or path in train]
        sides = [[Record(path, 0, None, None) for path in side] for side in (train, test)]
        assert sorted(find_repeats(*sides)) == sorted(set(naive))
    one, other = Record('d/1.jpg', 0, None, None), Record('d/x/../1.jpg', 0, None, None)
    assert find_repeats([one, one], [other]) == ['d/x/../1.jpg']
