"""The reader of folders: classes, splits, and what is neither."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dva_mm.datasets import Record
from dva_mm.datasets.benchmarks.folder import IMAGE_SUFFIXES, read_folder


def touch(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def names_of(root: Path) -> list[str]:
    return [Path(record.path).relative_to(root).as_posix() for record in read_folder(root).records]


def test_a_folder_has_a_class_per_sub_folder(tmp_path: Path):
    touch(tmp_path, 'wren/2.png', 'wren/deep/er/1.JPG', 'auk/b.jpeg', 'auk/a.webp')
    reading = read_folder(tmp_path)
    assert reading.classes == ['auk', 'wren'] and reading.remarks == ()
    assert reading.records == [
        Record(str(tmp_path / 'auk/a.webp'), 0, None, None),
        Record(str(tmp_path / 'auk/b.jpeg'), 0, None, None),
        Record(str(tmp_path / 'wren/2.png'), 1, None, None),
        Record(str(tmp_path / 'wren/deep/er/1.JPG'), 1, None, None),
    ]


@pytest.mark.parametrize('files', [[], ['loose.jpg'], ['a/x.gif', 'b/y.txt']])
def test_a_folder_without_classes_is_refused_with_the_layout(tmp_path: Path, files: list[str]):
    root = touch(tmp_path / 'here', *files) if files else tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match='ROOT/class_a') as error:
        read_folder(root)
    assert str(root) in str(error.value)
    assert all(file.rpartition('/')[2] in str(error.value) for file in files)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path):
    touch(tmp_path, 'auk/a.jpg', 'owl/a.jpg', 'auk/clip.gif', 'heic/1.heic', 'loose.jpg')
    touch(tmp_path, *(f'owl/{i}.txt' for i in range(9)), '.DS_Store')
    reading = read_folder(tmp_path)
    assert reading.classes == ['auk', 'owl'] and len(reading.records) == 2
    text = '\n'.join(reading.remarks)
    for found in ('auk/clip.gif', 'heic', 'loose.jpg', '11 files', 'owl/0.txt'):
        assert found in text
    assert 'owl/8.txt' not in text and '.DS_Store' not in text


def test_links_hidden_files_and_folders_like_images_are_no_images(tmp_path: Path):
    outside = touch(tmp_path / 'outside', '1.jpg', '2.jpg')
    root = touch(
        tmp_path / 'data', 'auk/a.jpg', 'auk/._a.jpg', 'owl/x.jpg/1.png', 'owl/.cache/2.jpg'
    )
    touch(root, '__MACOSX/auk/._a.jpg', '.thumbs/1.jpg', 'auk/__MACOSX/b.jpg')
    (root / 'elsewhere').symlink_to(outside)
    (root / 'same').symlink_to(root / 'auk')
    (root / 'owl' / 'cycle').symlink_to(root)
    (root / 'owl' / 'gone.jpg').symlink_to(root / 'nothing.jpg')
    (root / 'auk' / 'twin.jpg').symlink_to(root / 'auk' / 'a.jpg')
    assert names_of(root) == ['auk/a.jpg', 'owl/x.jpg/1.png']
    text = '\n'.join(read_folder(root).remarks)
    for name in ('elsewhere', 'same', '5 links', '__MACOSX', '.thumbs', '._a.jpg'):
        assert name in text
    link = tmp_path / 'link'
    link.symlink_to(root)
    assert len(read_folder(link).records) == 2  # the data set itself may be one


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_opencv_reads_each_suffix(tmp_path: Path, suffix: str):
    path = tmp_path / f'a{suffix}'
    kind = '.png' if suffix in ('.jfif', '.pgm') else suffix  # decoders look at the content
    path.write_bytes(cv2.imencode(kind, np.zeros((4, 4, 3), np.uint8))[1])
    assert cv2.imread(str(path)).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ('sides', 'training'),
    [
        ('train test', 'train'),
        ('train val', 'train'),
        ('Training Validation Testing', 'Training Validation'),
    ],
)
def test_a_split_is_no_class(tmp_path: Path, sides: str, training: str):
    for side in sides.split():
        touch(tmp_path, f'{side}/owl/1.jpg', f'{side}/auk/2.jpg', f'{side}/auk/more/3.jpg')
    reading = read_folder(tmp_path)
    assert reading.classes == ['auk', 'owl']
    assert len(reading.records) == 3 * len(sides.split())
    for record in reading.records:
        side, name = Path(record.path).relative_to(tmp_path).parts[:2]
        assert record.is_train == (side in training.split())
        assert reading.classes[record.label] == name


@pytest.mark.parametrize(
    ('files', 'classes', 'sides'),
    [
        # Sides with classes of their own; one side, which is no split; a class among vehicles.
        ('train/owl/1 test/auk/1 test/yak/1', 'auk owl yak', [False, True, False]),
        ('train/owl/1 train/auk/1', 'auk owl', [None, None]),
        ('bus/1 train/1 van/1', 'bus train van', [None, None, None]),
    ],
)
def test_what_looks_like_a_split(tmp_path: Path, files: str, classes: str, sides: list):
    reading = read_folder(touch(tmp_path, *(f'{file}.jpg' for file in files.split())))
    assert reading.classes == classes.split()
    records = sorted(reading.records, key=lambda record: record.label)
    assert [record.label for record in records] == list(range(len(sides)))
    assert [record.is_train for record in records] == sides


@pytest.mark.parametrize(
    ('files', 'named'),
    [
        (['train/a/1.jpg', 'test/a/1.jpg', 'owl/1.jpg'], 'owl'),
        (['train/a/1.jpg', 'test/1.jpg'], 'test/1.jpg'),
    ],
)
def test_half_a_split_is_refused(tmp_path: Path, files: list[str], named: str):
    with pytest.raises(ValueError, match=named) as error:
        read_folder(touch(tmp_path, *files))
    assert str(tmp_path) in str(error.value)
