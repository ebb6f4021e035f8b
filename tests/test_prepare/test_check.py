import json
import shutil
from pathlib import Path

import pytest
from tiny_data import write_cub, write_folder

from dva_mm.datasets import BENCHMARKS, Published
from dva_mm.prepare import Report, check_data


def change(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    """Replace fields of the data set 'cub'."""
    monkeypatch.setitem(BENCHMARKS, 'cub', BENCHMARKS['cub']._replace(**fields))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four classes of four images, without published numbers to differ from."""
    change(monkeypatch, published=None)
    return write_cub(tmp_path / 'cub', 4, 4)


def image(root: Path, label: int, index: int) -> Path:
    return root / 'images' / f'{label + 1:03d}.Class_{label + 1}' / f'{index}.png'


def set_box(root: Path, number: int, box: str) -> None:
    """``box``: x, y, width, height."""
    path = root / 'bounding_boxes.txt'
    lines = [
        f'{number} {box}' if i == number else line
        for i, line in enumerate(path.read_text().splitlines(), start=1)
    ]
    path.write_text('\n'.join(lines))


def findings(report: Report) -> dict[str, list[str]]:
    return {**report.damage, **report.problems, **report.notes}


def test_a_sound_data_set(root):
    report = check_data(root, 'cub')
    assert report.ok and findings(report) == {}
    assert (report.images, report.classes, report.boxes) == (16, 4, 16)
    assert report.sides == {
        'open': {'train': dict(classes=2, images=8), 'test': dict(classes=2, images=8)},
        'closed': {'train': dict(classes=4, images=8), 'test': dict(classes=4, images=8)},
    }
    lines = str(report).splitlines()
    assert lines[0] == f'{root} (reader cub): 16 images of 4 classes, 16 with a box'
    assert lines[2].split() == ['open', 'train', '2', '8']
    assert lines[-1] == '  OK'


def test_broken_images_are_damage(root):
    image(root, 0, 0).unlink()
    image(root, 1, 1).write_bytes(image(root, 1, 1).read_bytes()[:-200])
    image(root, 2, 2).write_text('Sorry')
    report = check_data(root, 'cub')
    assert not report.ok and not report.problems and not report.notes
    names = {kind: [case.split(':')[0] for case in cases] for kind, cases in report.damage.items()}
    assert names == {
        'missing images': ['images/001.Class_1/0.png'],
        'unreadable or truncated images': ['images/002.Class_2/1.png', 'images/003.Class_3/2.png'],
    }
    assert 'DAMAGE: missing images: 1' in str(report) and str(report).endswith('NOT OK')
    fast = check_data(root, 'cub', fast=True)
    assert sorted(fast.damage) == ['missing images', 'unreadable or truncated images']


OPEN, CLOSED = (f'equal images in train and test ({protocol})' for protocol in ('open', 'closed'))
ONE_SIDE, CLASSES = 'equal images on one side', 'equal images of different classes'


@pytest.mark.parametrize(
    ('first', 'second', 'kinds'),
    [
        # (label, index); classes 0 and 1 train in the open set, images 0 and 1 in the closed set
        ((0, 0), (0, 1), [ONE_SIDE]),
        ((2, 1), (2, 3), [CLOSED]),
        ((0, 0), (1, 1), [CLASSES]),
        ((0, 0), (2, 1), [OPEN, CLASSES]),
        ((0, 0), (3, 3), [CLOSED, OPEN, CLASSES]),
    ],
)
def test_equal_images(root, first, second, kinds):
    shutil.copyfile(image(root, *first), image(root, *second))
    report = check_data(root, 'cub')
    found = findings(report)
    assert sorted(found) == kinds
    assert not report.damage and report.ok == (kinds == [ONE_SIDE])
    for (case,) in found.values():
        for label, index in (first, second):
            assert f'images/00{label + 1}.Class_{label + 1}/{index}.png [00{label + 1}.' in case
    assert check_data(root, 'cub', fast=True).ok


def test_boxes(root):
    set_box(root, 1, '3 4 0 5')
    set_box(root, 2, '100 4 5 5')
    set_box(root, 3, '40 30 20 5')
    report = check_data(root, 'cub')
    (empty,), (outside,) = report.problems.values()
    assert list(report.problems) == ['boxes without area', 'boxes outside their image']
    end = 'of an image 48 wide and 40 high'
    assert empty == f'images/001.Class_1/0.png: x1, y1, x2, y2 = 3, 4, 3, 9 {end}'
    assert outside == f'images/001.Class_1/1.png: x1, y1, x2, y2 = 100, 4, 105, 9 {end}'
    assert list(report.notes) == ['boxes over the edge'] and not report.damage
    assert findings(check_data(root, 'cub', fast=True)) == findings(report)


def test_missing_boxes_and_what_the_reader_left_out_are_notes(root, monkeypatch, tmp_path):
    reading = BENCHMARKS['cub'].read(root)
    without = [record._replace(box=None) for record in reading.records[:2]]
    partly = reading._replace(records=without + reading.records[2:])
    change(monkeypatch, read=lambda root: partly)
    report = check_data(root, 'cub')
    assert report.ok and report.boxes == 14
    assert report.notes == {
        'images without a box': ['images/001.Class_1/0.png', 'images/001.Class_1/1.png']
    }
    folder = write_folder(tmp_path / 'folder', {'a': 3, 'b': 2})
    report = check_data(folder, 'folder')
    assert report.boxes == 0 and report.notes == {}  # a data set without boxes lacks none
    (folder / 'a' / 'clip.gif').touch()
    report = check_data(folder, 'folder')
    assert report.ok and 'clip.gif' in report.notes['remarks of the reader'][0]


def test_published_numbers(root, monkeypatch):
    official = Published('a test', (2, 2), (8, 8), (8, 8))
    change(monkeypatch, published=official)
    assert check_data(root, 'cub').ok
    change(monkeypatch, published=official._replace(open_images=(8, 9), closed_images=(9, 8)))
    report = check_data(root, 'cub')
    kind = 'numbers other than published'
    assert report.damage == {kind: ['16 images (published: 17)']} and not report.ok
    assert [text.removeprefix('8 images on the ') for text in report.problems.pop(kind)] == [
        'open-set test side (published: 9)',
        'closed-set training side (published: 9)',
    ]
    assert not report.problems


def test_an_image_listed_for_each_of_its_objects(tmp_path):
    write_folder(tmp_path, {'a': 2, 'b': 2})
    one, two, three, four = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*.*'))
    names = [(one, 'x'), (one, 'y'), (two, 'x'), (two, 'x'), (three, 'y'), (four, 'y')]
    table = tmp_path / 'images.csv'

    def check(sides: str, protocol: str) -> Report:
        lines = ['path,label,split']
        for (name, label), side in zip(names, sides.split(), strict=True):
            lines.append(f'{name},{label},{side}')
        table.write_text('\n'.join(lines))
        return check_data(tmp_path, 'csv', protocols=[protocol])

    assert findings(check('train train train train test test', 'closed')) == {}
    kind = 'images listed twice in test, or in train and test'
    report = check('train test train train test test', 'open')
    assert report.problems == {f'{kind} (open)': [one]} and not report.ok
    report = check('train train test test train test', 'closed')
    assert report.problems == {f'{kind} (closed)': [two]}


def test_a_protocol_that_does_not_suit(root, monkeypatch):
    """The official split of Stanford Online Products has no class on both sides."""
    reading = BENCHMARKS['cub'].read(root)
    records = [record._replace(is_train=record.label < 2) for record in reading.records]
    change(monkeypatch, read=lambda root: reading._replace(records=records))
    report = check_data(root, 'cub')
    assert report.ok and list(report.sides) == ['open']
    assert report.notes['protocols that do not suit'][0].startswith('closed: ')


def test_long_lists_are_cut_on_screen_only(root, tmp_path):
    for path in (root / 'images').rglob('*.png'):
        path.unlink()
    report = check_data(root, 'cub')
    assert str(report).count('.png') == 5 and '... and 11 more' in str(report)
    report.save(tmp_path / 'new' / 'report.json')
    saved = json.loads((tmp_path / 'new' / 'report.json').read_text())
    assert saved['ok'] is False and len(saved['damage']['missing images']) == 16
    assert saved['sides']['open']['test'] == {'classes': 2, 'images': 8}


@pytest.mark.parametrize('wrong', [dict(reader='cubs'), dict(reader='cub', protocols=['half'])])
def test_unknown_names(root, wrong):
    with pytest.raises(ValueError, match='cubs|half'):
        check_data(root, **wrong)
