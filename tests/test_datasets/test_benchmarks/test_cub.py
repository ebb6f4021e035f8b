"""CUB's reader against an archive written by hand."""

from pathlib import Path

import pytest

from dva_mm.datasets import Record
from dva_mm.datasets.benchmarks.cub import read_cub

# Ids out of order, class 10 after 2 as a number and before it as a string, boxes with fractions.
ARCHIVE = {
    'images.txt': '7 002.Auk/a.jpg\n3 010.Wren/b c.jpg\n\n11 001.Owl/c.jpg\n4 002.Auk/d.jpg\n',
    'classes.txt': '2 002.Auk\n10 010.Wren\n1 001.Owl\n',
    'image_class_labels.txt': '3 10\n4 2\n7 2\n11 1\n',
    'train_test_split.txt': '4 0\n3 1\n11 0\n7 1\n',
    'bounding_boxes.txt': (
        '11 0.0 1.0 5.0 6.0\n4 2.5 3.5 4.0 8.0\n7 60.0 27.0 325.0 304.0\n3 1 2 3 4\n'
    ),
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / 'images').mkdir()
    for name, text in ARCHIVE.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_cub_joins_its_lists_by_id(archive: Path, monkeypatch: pytest.MonkeyPatch):
    reading = read_cub(archive)
    images = archive / 'images'
    assert reading.classes == ['001.Owl', '002.Auk', '010.Wren']
    assert reading.super_classes is None and reading.train_classes is None
    assert reading.records == [
        Record(str(images / '002.Auk/a.jpg'), 1, True, (60.0, 27.0, 385.0, 331.0)),
        Record(str(images / '010.Wren/b c.jpg'), 2, True, (1.0, 2.0, 4.0, 6.0)),
        Record(str(images / '001.Owl/c.jpg'), 0, False, (0.0, 1.0, 5.0, 7.0)),
        Record(str(images / '002.Auk/d.jpg'), 1, False, (2.5, 3.5, 6.5, 11.5)),
    ]
    monkeypatch.setenv('HOME', str(archive.parent))
    assert read_cub(f'~/{archive.name}') == reading


def test_a_missing_folder_lists_all_that_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        read_cub(tmp_path / 'nowhere')
    message = str(error.value)
    assert str(tmp_path / 'nowhere') in message and '--cfg-options data_root=' in message
    assert 'https://www.vision.caltech.edu/datasets/cub_200_2011/' in message
    assert all(f'ROOT/{file}' in message for file in ('images/001.Black', *ARCHIVE))


@pytest.mark.parametrize(
    ('file', 'old', 'new', 'named'),
    [
        ('image_class_labels.txt', '3 10\n', '', 'image_class_labels.txt'),
        ('train_test_split.txt', '4 0\n', '99 0\n', 'train_test_split.txt'),
        ('bounding_boxes.txt', '3 1 2 3 4\n', '', 'bounding_boxes.txt'),
        ('image_class_labels.txt', '11 1', '11 5', "'5'"),
        ('classes.txt', 'Auk', 'Äuk', 'iconv -f cp1252'),
        ('images.txt', '7 002.Auk/a.jpg', '7', 'images.txt, line 1'),
        ('images.txt', '11 001.Owl', '3 001.Owl', 'images.txt, line 4: 3'),
        ('train_test_split.txt', '3 1', '3 2', 'train_test_split.txt, image 3'),
        ('bounding_boxes.txt', '2.5 3.5 4.0 8.0', '2.5 3.5 4.0', 'bounding_boxes.txt, image 4'),
        ('bounding_boxes.txt', '2.5 3.5 4.0 8.0', '2 3 x 8', 'bounding_boxes.txt, image 4'),
        ('bounding_boxes.txt', '2.5 3.5 4.0 8.0', '2 nan 4 8', 'bounding_boxes.txt, image 4'),
    ],
)
def test_a_mistake_is_named(archive: Path, file: str, old: str, new: str, named: str):
    assert old in ARCHIVE[file]
    (archive / file).write_text(ARCHIVE[file].replace(old, new), encoding='cp1252')
    with pytest.raises(ValueError) as error:
        read_cub(archive)
    assert named in str(error.value) and str(archive) in str(error.value)
