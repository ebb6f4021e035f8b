"""What a reading has otherwise than published."""

import pytest

from dva_mm.datasets import Published, Reading, Record
from dva_mm.datasets.published import (
    find_differences,
    find_side_differences,
    find_total_differences,
)


def tiny(queries: bool = False) -> Reading:
    """Five classes of 3 images: open-set 6 and 9, closed-set 5 and 10, 4 queries."""
    records = [
        Record(f'{i}.jpg', i // 3, i % 3 == 0, None, i in (7, 8, 9, 10) if queries else None)
        for i in range(15)
    ]
    return Reading(records, list('abcde'))


NUMBERS = Published('a test', (2, 3), (6, 9), (5, 10))


SIDES = '2 classes on the open-set training side (published: 3)'
SIDES += ' | 3 classes on the open-set test side (published: 2)'
IMAGES = '15 images (published: 14) | 9 images on the open-set test side (published: 8)'


@pytest.mark.parametrize(
    ('change', 'protocol', 'differences'),
    [
        ({}, 'open', ''),
        ({}, 'closed', ''),
        (dict(open_images=None), 'open', ''),
        (dict(open_classes=(2, 1004)), 'closed', '5 classes (published: 1,006)'),
        (dict(open_images=(6, 8)), 'open', IMAGES),
        (dict(open_classes=(3, 2)), 'open', SIDES),
        (
            dict(closed_images=(4, 10)),
            'closed',
            '5 images on the closed-set training side (published: 4)',
        ),
        (dict(queries=3), 'open', '4 queries (published: 3)'),
    ],
)
def test_a_difference_names_both_numbers(change: dict, protocol: str, differences: str):
    published, reading = NUMBERS._replace(**change), tiny(queries='queries' in change)
    found = find_differences(published, reading, protocol)
    assert ' | '.join(found) == differences
    totals = find_total_differences(published, reading)
    assert totals + find_side_differences(published, reading, protocol) == found
    assert not any('side' in total for total in totals)
    assert find_differences(None, reading, protocol) == []


def test_open_numbers_of_lists_need_the_lists():
    numbers = NUMBERS._replace(open_classes=(4, 1), open_images=(12, 3))
    assert len(find_side_differences(numbers, tiny(), 'open')) == 4
    numbers = numbers._replace(open_by_lists=True)
    for labels, differences in ((None, 0), ({0, 1, 2}, 4), ({0, 1, 2, 4}, 0)):
        listed = tiny()._replace(train_classes=labels and frozenset(labels))
        assert len(find_side_differences(numbers, listed, 'open')) == differences
