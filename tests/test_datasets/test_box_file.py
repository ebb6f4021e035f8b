"""The file of boxes: written whole, and checked against the images."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import dva_mm.datasets.box_file as box_file
from dva_mm.datasets.box_file import (
    BoxEntry,
    fingerprint,
    load_box_file,
    make_header,
    read_box_file,
    relative_paths,
    write_box_file,
)

IMAGES = ['a/0.png', 'a/1.png', 'b/0.png']


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images of 20 x 10 pixels."""
    for name in IMAGES:
        (tmp_path / 'data' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (20, 10)).save(tmp_path / 'data' / name)
    return tmp_path / 'data'


@pytest.fixture
def entries() -> list[BoxEntry]:
    return [
        BoxEntry('b/0.png', 20, 10, 0, 0, 20, 10, 0.0, 'fallback'),
        BoxEntry('a/0.png', 20, 10, 1.5, 2, 11, 9.25, 0.5, 'attention'),
        BoxEntry('a/1.png', 20, 10, 3, 0, 4, 10, 0.25, 'attention'),
    ]


@pytest.fixture
def file(tmp_path: Path, entries: list[BoxEntry]) -> Path:
    path = tmp_path / 'boxes' / 'x.jsonl'
    write_box_file(path, make_header('attention', dict(keep=0.6), IMAGES), entries)
    return path


def paths(root: Path) -> list[str]:
    return [str(root / name) for name in IMAGES]


def edit(file: Path, line: int, **fields: object) -> None:
    lines = file.read_text().splitlines()
    lines[line] = json.dumps({**json.loads(lines[line]), **fields})
    file.write_text('\n'.join(lines) + '\n')


def test_what_is_written_is_loaded(file: Path, root: Path, entries: list[BoxEntry]):
    header, read = read_box_file(file)
    assert header['source'] == 'attention' and header['options'] == dict(keep=0.6)
    assert list(read) == IMAGES
    assert read == {entry.image: entry for entry in entries}
    boxes = load_box_file(file, root, paths(root)[::2])  # the last touches all edges
    assert boxes == dict(zip(paths(root)[::2], [(1.5, 2, 11, 9.25), (0, 0, 20, 10)], strict=True))
    assert [path.name for path in file.parent.iterdir()] == ['x.jsonl']


def test_the_fingerprint_is_of_the_sorted_names():
    by_hand = hashlib.sha256(b'a/0.png\na/1.png\nb/0.png').hexdigest()
    assert fingerprint(reversed(IMAGES)) == fingerprint(IMAGES) == by_hand
    assert fingerprint(IMAGES[:2]) != by_hand


def test_paths_are_relative_to_the_root_however_it_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(root.parent)
    for given in (root, 'data', './data/', 'data/../data'):
        assert relative_paths([root / 'a/0.png', 'data/b/0.png'], given) == ['a/0.png', 'b/0.png']
    with pytest.raises(ValueError, match='other/c.png'):
        relative_paths([root.parent / 'other/c.png'], root)


def test_a_failed_write_leaves_the_old_file(file: Path, entries: list[BoxEntry]):
    before = file.read_bytes()
    entries[2] = replace(entries[2], score=object())  # is no JSON
    with pytest.raises(TypeError):
        write_box_file(file, make_header('attention', {}, []), entries)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ['x.jsonl']


def test_a_missing_file_says_how_to_make_it_and_another_is_refused(tmp_path: Path):
    file = tmp_path / 'x.jsonl'
    with pytest.raises(FileNotFoundError, match=r'x.jsonl.*--split all --out'):
        load_box_file(file, tmp_path, [])
    for text in ('', 'x y\n', '[1]\n', '{"format": "other"}\n', '{}\n'):
        file.write_text(text)
        with pytest.raises(ValueError, match='x.jsonl'):
            load_box_file(file, tmp_path, [])


@pytest.mark.parametrize(
    ('line', 'fields', 'named'),
    [
        (0, dict(version=2), 'version 2'),
        (2, dict(image='a/0.png'), 'line 3: a/0.png'),  # there twice
        (3, dict(image='c/0.png'), 'x.jsonl'),  # the fingerprint is another
    ],
)
def test_an_edited_file_is_refused(file: Path, root: Path, line: int, fields: dict, named: str):
    edit(file, line, **fields)
    with pytest.raises(ValueError, match=named):
        load_box_file(file, root, paths(root)[:1])


def test_a_cut_file_is_refused(file: Path, root: Path):
    whole = file.read_text()
    file.write_text(''.join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match='2 boxes.* 3 images'):
        load_box_file(file, root, paths(root)[:1])
    file.write_text(whole[:-30])
    with pytest.raises(ValueError, match='x.jsonl, line 4'):
        load_box_file(file, root, paths(root)[:1])


# x1=12 lies right of x2, y1=9.25 leaves no height.
OUTSIDE = [dict(x1=-1), dict(y1=-0.5), dict(x2=20.5), dict(y2=11), dict(x1=12), dict(y1=9.25)]
OUTSIDE += [dict(x1=float('nan')), dict(score=float('inf'))]


@pytest.mark.parametrize(
    ('fields', 'named'),
    [(fields, 'line 2.*20 x 10') for fields in OUTSIDE]
    + [(fields, 'line 2: ') for fields in (dict(x1='left'), dict(x1=None), dict(colour='red'))],
)
def test_a_box_outside_its_image_or_of_other_fields_is_refused(
    file: Path, root: Path, fields: dict, named: str
):
    edit(file, 1, **fields)
    with pytest.raises(ValueError, match=named):
        load_box_file(file, root, paths(root))


def test_images_that_the_file_lacks_or_of_another_size_are_refused(file: Path, root: Path):
    asked = [*paths(root), str(root / 'c/0.png'), str(root / 'c/1.png')]
    with pytest.raises(ValueError, match='2 of the 5 .*c/0.png'):
        load_box_file(file, root, asked)
    Image.new('RGB', (10, 20)).save(root / 'b/0.png')
    load_box_file(file, root, paths(root)[:2])
    with pytest.raises(ValueError, match='b/0.png .*10 x 20 .*20 x 10'):
        load_box_file(file, root, paths(root))


def test_of_a_large_set_evenly_spaced_sizes_are_checked(
    file: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def size(path: Path) -> tuple[int, int]:
        asked.append(f'{path.parent.name}/{path.name}')
        return 20, 10

    monkeypatch.setattr(box_file, 'image_size', size)
    load_box_file(file, root, paths(root))
    assert asked == IMAGES
    asked.clear()
    monkeypatch.setattr(box_file, 'CHECKED_SIZES', 2)
    load_box_file(file, root, paths(root))
    assert asked == [IMAGES[0], IMAGES[2]]
