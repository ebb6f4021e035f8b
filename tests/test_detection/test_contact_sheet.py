"""The picture of many boxes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dva_mm.datasets.box_file import BoxEntry
from dva_mm.detection.contact_sheet import FOUND, MISSING, choose_entries, contact_sheet


def entry(name: str, score: float = 0.5, box=(0, 0, 20, 10), source: str = 'x') -> BoxEntry:
    return BoxEntry(name, 20, 10, *box, score, source)


def test_entries_are_the_worst_or_a_sample_that_its_seed_decides():
    entries = [entry('a', 0.9), entry('c', 0.1), entry('b', 0.1), entry('d', 0.0), entry('e', 0.5)]
    assert [e.image for e in choose_entries(entries, 4)] == ['d', 'b', 'c', 'e']
    assert [e.image for e in choose_entries(entries, 9)] == ['d', 'b', 'c', 'e', 'a']
    entries = [entry(str(i), i / 100) for i in range(100)]
    first = choose_entries(entries, 10, 'random')
    assert first == choose_entries(entries, 10, 'random', seed=0)
    assert first != choose_entries(entries, 10, 'random', seed=1)
    assert len({e.image for e in first}) == 10
    assert len(choose_entries(entries, 200, 'random')) == 100

    for count, order, named in ((0, 'worst', 'count 0'), (5, 'best', "'best'")):
        with pytest.raises(ValueError, match=named):
            choose_entries(entries, count, order)


def frame(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The bounds of all pixels of a colour."""
    ys, xs = np.nonzero((np.asarray(sheet) == colour).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_a_box_is_drawn_in_its_tile_at_its_place_and_what_is_no_object_in_blue(tmp_path: Path):
    Image.new('RGB', (20, 10), 'black').save(tmp_path / 'a.png')
    found = entry('a.png', box=(5, 2, 15, 8))
    sheet = contact_sheet([found], tmp_path, tile=80)  # four pixels for one
    assert frame(sheet, FOUND) == (6 + 20, 6 + 8, 6 + 60, 6 + 32)
    sheet = contact_sheet([entry('a.png')] * 2 + [found], tmp_path, columns=2, tile=80)
    row = 80 + 26 + 6
    assert sheet.size == (2 * 86 + 6, 2 * row + 6)
    last = sheet.crop((0, row, *sheet.size))
    assert frame(last, FOUND) == (6 + 20, 6 + 8, 6 + 60, 6 + 32)
    for source in ('fallback', 'x'):  # a box over the whole image is no object either
        sheet = contact_sheet([entry('a.png', 0, source=source)], tmp_path, tile=80)
        assert frame(sheet, MISSING) == (6, 6, 86, 46)
        assert FOUND not in {colour for _, colour in sheet.getcolors(100000)}


def test_a_photograph_is_turned_as_it_is_shown(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top row is shown as the right column
    picture = Image.new('RGB', (40, 20), 'black')
    picture.paste((0, 255, 0), (0, 0, 40, 10))
    picture.save(tmp_path / 'a.jpg', exif=exif, quality=100)
    turned = BoxEntry('a.jpg', 20, 40, 0, 0, 20, 40, 0.5, 'x')
    sheet = contact_sheet([turned], tmp_path, tile=80)
    assert sheet.getpixel((6 + 30, 6 + 40))[1] > 200 > 50 > sheet.getpixel((6 + 10, 6 + 40))[1]
