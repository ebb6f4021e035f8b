"""The report on a file of boxes."""

from dva_mm.datasets.box_file import BoxEntry
from dva_mm.detection.summary import is_object, summary


def entry(name: str, side: float, score: float, source: str = 'attention') -> BoxEntry:
    return BoxEntry(name, 10, 10, 0, 0, 10, side, score, source)


def test_the_summary_counts_and_measures_objects_alone():
    entries = [entry(str(i), i, i / 10) for i in range(1, 6)]
    entries += [entry('x', 10, 0, 'fallback'), entry('y', 10, 0.9), entry('z', 9.6, 0.8)]
    first, *rest = summary(entries).splitlines()
    assert first.startswith('8 images: 5 attention, 2 whole image') and '1 fallback' in first
    assert rest == [
        'score: median 0.300, middle half 0.200 to 0.400',
        'box / image area: median 0.300, middle half 0.200 to 0.400',
    ]
    assert [is_object(each) for each in entries] == [True] * 5 + [False] * 3
    assert is_object(entry('w', 9.4, 0.5))
    assert summary([entry('x', 10, 0, 'fallback')]) == '1 images: 1 fallback'
