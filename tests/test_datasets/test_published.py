"""The published numbers, and what a reading has otherwise."""

import pytest

from dva_mm.datasets import PUBLISHED, READERS, Published, Reading, Record, find_differences
from dva_mm.datasets.published import find_side_differences, find_total_differences


@pytest.mark.parametrize('reader', PUBLISHED)
def test_the_sides_add_up(reader: str):
    published = PUBLISHED[reader]
    assert reader in READERS
    assert sum(published.open_classes) == published.classes
    for sides in (published.open_images, published.closed_images):
        assert sides is None or sum(sides) == published.images


def test_the_numbers_of_the_common_benchmarks():
    assert PUBLISHED['cub'].open_images == (5864, 5924)
    assert PUBLISHED['cub'].closed_images == (5994, 5794)
    assert PUBLISHED['cars'].open_images == (8054, 8131)
    assert PUBLISHED['nabirds'].open_classes == (255, 300)
    assert PUBLISHED['sop'].open_images == (59551, 60502)
    assert PUBLISHED['inshop'].queries == 14218
    assert 'demo_birds' not in PUBLISHED and 'folder' not in PUBLISHED


def tiny(queries: bool = False) -> Reading:
    """Five classes of 3 images: open-set 6 and 9, closed-set 5 and 10, 4 queries."""
    records = [
        Record(f'{i}.jpg', i // 3, i % 3 == 0, None, i in (7, 8, 9, 10) if queries else None)
        for i in range(15)
    ]
    return Reading(records, list('abcde'))


NUMBERS = Published('Tiny', 'a test', 5, 15, (2, 3), (6, 9), (5, 10))


@pytest.mark.parametrize('protocol', ['open', 'closed'])
def test_the_right_numbers_give_no_difference(monkeypatch: pytest.MonkeyPatch, protocol: str):
    monkeypatch.setitem(PUBLISHED, 'tiny', NUMBERS)
    assert find_differences('tiny', tiny(), protocol) == []
    assert find_differences('unknown', tiny(), protocol) == []


@pytest.mark.parametrize(
    ('change', 'protocol', 'difference'),
    [
        (dict(classes=1006), 'open', '5 classes (published: 1,006)'),
        (dict(images=14), 'closed', '15 images (published: 14)'),
        (
            dict(open_classes=(1, 3)),
            'open',
            '2 classes on the open-set training side (published: 1)',
        ),
        (dict(open_classes=(2, 2)), 'open', '3 classes on the open-set test side (published: 2)'),
        (dict(open_images=(7, 9)), 'open', '6 images on the open-set training side (published: 7)'),
        (dict(open_images=(6, 8)), 'open', '9 images on the open-set test side (published: 8)'),
        (
            dict(closed_images=(4, 10)),
            'closed',
            '5 images on the closed-set training side (published: 4)',
        ),
        (dict(queries=3), 'open', '4 queries (published: 3)'),
    ],
)
def test_a_difference_names_both_numbers(
    monkeypatch: pytest.MonkeyPatch, change: dict, protocol: str, difference: str
):
    monkeypatch.setitem(PUBLISHED, 'tiny', NUMBERS._replace(**change))
    assert find_differences('tiny', tiny(queries='queries' in change), protocol) == [difference]


def test_only_the_protocol_in_use_is_compared(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PUBLISHED, 'tiny', NUMBERS._replace(closed_images=(1, 1), open_images=None))
    assert find_differences('tiny', tiny(), 'open') == []


def test_totals_and_sides_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    numbers = NUMBERS._replace(classes=6, images=16, open_images=(7, 9), queries=1)
    monkeypatch.setitem(PUBLISHED, 'tiny', numbers)
    totals, sides = (
        find_total_differences('tiny', tiny()),
        find_side_differences('tiny', tiny(), 'open'),
    )
    assert totals == ['5 classes (published: 6)', '15 images (published: 16)']
    assert sides == [
        '6 images on the open-set training side (published: 7)',
        '0 queries (published: 1)',
    ]
    assert find_differences('tiny', tiny(), 'open') == totals + sides
    assert find_total_differences('unknown', tiny()) == []
    assert find_side_differences('unknown', tiny(), 'open') == []


def test_open_numbers_of_lists_need_the_lists(monkeypatch: pytest.MonkeyPatch):
    numbers = NUMBERS._replace(open_classes=(4, 1), open_images=(12, 3))
    for by_lists, differences in ((True, 0), (False, 4)):
        monkeypatch.setitem(PUBLISHED, 'tiny', numbers._replace(open_by_lists=by_lists))
        assert len(find_side_differences('tiny', tiny(), 'open')) == differences
    monkeypatch.setitem(PUBLISHED, 'tiny', numbers._replace(open_by_lists=True))
    listed = tiny()._replace(train_classes=frozenset({0, 1, 2}))
    assert len(find_side_differences('tiny', listed, 'open')) == 4
    listed = tiny()._replace(train_classes=frozenset({0, 1, 2, 4}))
    assert find_side_differences('tiny', listed, 'open') == []


def test_what_no_source_confirms_is_not_compared():
    assert PUBLISHED['dogs'].open_images is None
    assert [name for name, it in PUBLISHED.items() if it.open_by_lists] == ['inaturalist2018']
