"""CUB's reader against an archive written by hand, and the reader of folders."""

from pathlib import Path

import pytest

from dva_mm.datasets import Record, read_cub, read_folder

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


def test_cub_joins_its_lists_by_id(archive: Path):
    records, names, super_classes, train_classes = read_cub(archive)
    images = archive / 'images'
    assert names == ['001.Owl', '002.Auk', '010.Wren']
    assert super_classes is None and train_classes is None
    assert records == [
        Record(str(images / '002.Auk/a.jpg'), 1, True, (60.0, 27.0, 385.0, 331.0)),
        Record(str(images / '010.Wren/b c.jpg'), 2, True, (1.0, 2.0, 4.0, 6.0)),
        Record(str(images / '001.Owl/c.jpg'), 0, False, (0.0, 1.0, 5.0, 7.0)),
        Record(str(images / '002.Auk/d.jpg'), 1, False, (2.5, 3.5, 6.5, 11.5)),
    ]


def test_cub_expands_the_home_folder(archive: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('HOME', str(archive.parent))
    assert read_cub(f'~/{archive.name}') == read_cub(archive)


@pytest.mark.parametrize('name', ['images', *ARCHIVE])
def test_a_missing_file_of_cub_is_named_with_folder_source_and_layout(archive: Path, name: str):
    (archive / name).rename(archive / 'elsewhere')
    with pytest.raises(FileNotFoundError) as error:
        read_cub(archive)
    message = str(error.value)
    assert f'{archive} has no {name}.' in message
    assert 'https://www.vision.caltech.edu/datasets/cub_200_2011/' in message
    assert all(f'ROOT/{file}' in message for file in ARCHIVE)
    assert 'ROOT/images/001.Black_footed_Albatross/*.jpg' in message
    assert '--cfg-options data_root=' in message


def test_a_missing_cub_folder_lists_all_that_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='nowhere has no images, images.txt, classes.txt'):
        read_cub(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    'name', ['image_class_labels.txt', 'train_test_split.txt', 'bounding_boxes.txt']
)
@pytest.mark.parametrize('change', ['shorter', 'other id'])
def test_lists_that_disagree_are_named(archive: Path, name: str, change: str):
    first, rest = ARCHIVE[name].split('\n', 1)
    other = f'99 {first.split(" ", 1)[1]}\n'
    (archive / name).write_text(rest if change == 'shorter' else other + rest)
    with pytest.raises(ValueError, match=f'{name} names [34] images, images.txt 4'):
        read_cub(archive)


def test_a_label_without_class_is_named(archive: Path):
    (archive / 'image_class_labels.txt').write_text('3 10\n4 2\n7 2\n11 5\n')
    with pytest.raises(ValueError, match=r"has classes \['5'\] that classes.txt does not know"):
        read_cub(archive)


def test_a_line_without_value_is_named_with_its_number(archive: Path):
    (archive / 'images.txt').write_text('7 a.jpg\n3\n')
    with pytest.raises(ValueError, match=r"images.txt, line 2: expected \"id value\", got '3'"):
        read_cub(archive)


def test_an_image_listed_twice_is_named(archive: Path):
    (archive / 'images.txt').write_text(ARCHIVE['images.txt'] + '3 002.Auk/e.jpg\n')
    with pytest.raises(ValueError, match='images.txt, line 6: 3 is listed a second time'):
        read_cub(archive)


def test_a_side_that_is_neither_is_named(archive: Path):
    (archive / 'train_test_split.txt').write_text('4 0\n3 2\n11 0\n7 1\n')
    with pytest.raises(ValueError, match=r"train_test_split.txt, image 3: .*1 \(training\).* '2'"):
        read_cub(archive)


@pytest.mark.parametrize('box', ['1 2 3', '1 2 three 4'])
def test_a_malformed_box_is_named_with_its_image(archive: Path, box: str):
    text = ARCHIVE['bounding_boxes.txt'].replace('2.5 3.5 4.0 8.0', box)
    (archive / 'bounding_boxes.txt').write_text(text)
    with pytest.raises(ValueError, match=f'bounding_boxes.txt, image 4: .* got {box!r}'):
        read_cub(archive)


def test_a_folder_has_a_class_per_sub_folder(tmp_path: Path):
    for file in ('wren/2.png', 'wren/deep/er/1.JPG', 'auk/b.jpeg', 'auk/a.webp', 'auk/notes.txt'):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'loose.jpg').touch()
    records, names, *_ = read_folder(tmp_path)
    assert names == ['auk', 'wren']
    assert records == [
        Record(str(tmp_path / 'auk/a.webp'), 0, None, None),
        Record(str(tmp_path / 'auk/b.jpeg'), 0, None, None),
        Record(str(tmp_path / 'wren/2.png'), 1, None, None),
        Record(str(tmp_path / 'wren/deep/er/1.JPG'), 1, None, None),
    ]


def test_a_missing_folder_is_named_with_the_layout(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        read_folder(tmp_path / 'nowhere')
    message = str(error.value)
    assert str(tmp_path / 'nowhere') in message
    assert 'ROOT/class_a/*.jpg' in message
    assert '--cfg-options data_root=' in message


def test_a_folder_of_loose_images_is_refused(tmp_path: Path):
    (tmp_path / 'loose.jpg').touch()
    with pytest.raises(FileNotFoundError, match='holds no sub-folder with images') as error:
        read_folder(tmp_path)
    assert 'ROOT/class_a/*.jpg' in str(error.value)
