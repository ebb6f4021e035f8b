"""The report on a file of boxes."""

from pathlib import Path

import pytest
import torch
from torchvision.ops import box_area, box_iou

from dva_mm.datasets.box_file import BoxEntry
from dva_mm.datasets.record import Record
from dva_mm.detection.summary import agreement, is_object, summary

ROOT = Path('/data/birds')


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


def record(name: str, box: tuple | None) -> Record:
    return Record(f'/data/birds/{name}', 0, True, box)


def test_agreement_is_that_of_each_box_with_its_own_image():
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 20, (2, 40, 2, 2), generator=generator).sort(dim=2).values
    corners[:, :, 1] += 1
    found, own = corners.flatten(2).double()
    names = [f'{index}.jpg' for index in range(40)]
    entries = [
        BoxEntry(name, 30, 40, *box, 0.5, 'attention')
        for name, box in zip(names, found.tolist(), strict=True)
    ]
    records = [record(name, tuple(box)) for name, box in zip(names, own.tolist(), strict=True)]
    said = agreement(entries, records[::-1], ROOT)
    pairs = list(zip(found.split(1), own.split(1), strict=True))
    iou = [box_iou(*pair).item() for pair in pairs]
    inside = []
    for a, b in pairs:
        x1, y1, x2, y2 = torch.cat((torch.maximum(a, b)[0, :2], torch.minimum(a, b)[0, 2:]))
        inside.append((max(0, x2 - x1) * max(0, y2 - y1) / box_area(b)).item())
    assert said.count == 40 and said.iou == pytest.approx(sum(iou) / 40)
    assert 0.2 < said.missed == sum(share < 0.3 for share in inside) / 40 < 0.8


def test_agreement_counts_images_with_both_boxes_and_cuts_at_the_edges():
    entries = [entry('a', 5, 0.5), entry('b', 5, 0.5), entry('c', 10, 0, 'fallback')]
    twice = [record('a', (0, 0, 1, 1)), record('a', (-5, 0, 10, 25)), record('b', None)]
    assert agreement(entries, twice, ROOT) == (1, 0.5, 0.0)
    assert agreement(entries, [*twice, record('c', (0, 0, 10, 2))], ROOT) == (1, 0.5, 0.0)
    assert agreement(entries, [record('b', None), record('x', (0, 0, 9, 9))], ROOT) is None
    fraction = BoxEntry('a', 10, 10, 2.4, 2.4, 7.6, 7.6, 0.5, 'attention')
    assert agreement([fraction], [record('a', fraction.box)], ROOT) == (1, 1.0, 0.0)
