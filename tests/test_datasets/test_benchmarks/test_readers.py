"""Every reader against a tiny archive in the official format."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import archives
import pytest
from archives.pictures import Sample, samples
from tiny_data import write_cub

from dva_mm.datasets import BENCHMARKS, Record


class Format(NamedTuple):
    """An archive, and what reading it has to give."""

    reader: str
    write: Callable[[Path], Path]
    path: Callable[[Sample], str] | None
    """File of a picture; None where the archive numbers the files of each side."""
    classes: list[str]
    boxes: bool = True
    super_classes: list[str] | None = None
    train_classes: set[int] | None = None
    split_by_class: bool = False
    needed: tuple[str, ...] = ()  # Files without which the archive is not found


def four(name: str) -> list[str]:
    return [name.format(i) for i in (1, 2, 3, 4)]


CARS = four('Make Model-{} Sedan 2012')
KINDS = ('WOMEN/Dresses', 'MEN/Denim')
LISTS = [f'{level}_{side}' for level in ('variant', 'family') for side in ('trainval', 'test')]
FORMATS = {
    'cub': Format(
        'cub',
        lambda root: write_cub(root, 4, 4),
        lambda s: f'images/{s.label + 1:03d}.Class_{s.label + 1}/{s.index}.png',
        four('{0:03d}.Class_{0}'),
        needed=('images', 'images.txt', 'bounding_boxes.txt'),
    ),
    'cars devkit': Format(
        'cars',
        archives.write_cars_devkit,
        None,
        CARS,
        needed=('cars_train', 'cars_test', 'devkit/cars_meta.mat', 'devkit/cars_train_annos.mat'),
    ),
    'cars single': Format(
        'cars',
        archives.write_cars_single,
        lambda s: f'car_ims/{s.number:06d}.jpg',
        CARS,
        needed=('car_ims',),
    ),
    'dogs': Format(
        'dogs',
        archives.write_dogs,
        lambda s: (
            f'Images/n0208{s.label:04d}-breed-{s.label + 1}/n0208{s.label:04d}_{s.index + 1}.jpg'
        ),
        four('breed-{}'),
        needed=('Images', 'Annotation', 'train_list.mat', 'test_list.mat'),
    ),
    'aircraft': Format(
        'aircraft',
        archives.write_aircraft,
        lambda s: f'data/images/{s.number:07d}.jpg',
        four('Model {}/A'),
        super_classes=['Family 1', 'Family 1', 'Family 2', 'Family 2'],
        needed=(
            'data/images',
            'data/variants.txt',
            *(f'data/images_{name}.txt' for name in ('box', *LISTS)),
        ),
    ),
    'nabirds': Format(
        'nabirds',
        archives.write_nabirds,
        lambda s: f'images/{s.label + 10:04d}/{s.number:08d}21dc4d0cbfe14cae3c85c829.jpg',
        four('Duck {} (Adult male)'),
        super_classes=['Ducks, Geese, and Swans', 'Loons'] * 2,
        train_classes={0, 1},
        needed=('images', 'classes.txt', 'hierarchy.txt', 'train_test_split.txt'),
    ),
    'flowers': Format(
        'flowers',
        archives.write_flowers,
        lambda s: f'jpg/image_{s.number:05d}.jpg',
        four('{:03d}'),
        boxes=False,
        needed=('jpg', 'imagelabels.mat', 'setid.mat'),
    ),
    'pets': Format(
        'pets',
        archives.write_pets,
        lambda s: f'images/{archives.text.PETS[s.label]}_{s.index + 1}.jpg',
        ['Abyssinian', 'american_bulldog', 'basset_hound', 'Bengal'],
        boxes=False,
        super_classes=['cat', 'dog', 'dog', 'cat'],
        needed=('images', 'annotations/trainval.txt', 'annotations/test.txt'),
    ),
    'sop': Format(
        'sop',
        archives.write_sop,
        lambda s: (
            f'{archives.text.SOP_SUPER_CLASSES[s.label]}_final/'
            f'{111085122871 + s.label}_{s.index}.JPG'
        ),
        ['bicycle_1', 'cabinet_2', 'chair_3', 'coffee_maker_4'],
        boxes=False,
        super_classes=['bicycle', 'cabinet', 'chair', 'coffee_maker'],
        split_by_class=True,
        needed=('Ebay_train.txt', 'Ebay_test.txt'),
    ),
    'inshop': Format(
        'inshop',
        archives.write_inshop,
        lambda s: f'Img/img/{KINDS[s.label % 2]}/id_{s.label + 1:08d}/01_{s.index + 1}_front.jpg',
        four('id_{:08d}'),
        super_classes=[*KINDS] * 2,
        split_by_class=True,
        needed=('Img', 'Eval/list_eval_partition.txt'),
    ),
    'inaturalist': Format(
        'inaturalist',
        lambda root: archives.write_inaturalist(root, splits=True),
        lambda s: f'train_val2018/Aves/{s.label}/{s.number:032x}.jpg',
        ['Species 0', 'Species 1', 'Species 2', 'Species 3'],
        boxes=False,
        super_classes=['Family 0', 'Family 0', 'Family 1', 'Family 1'],
        train_classes={1, 2},
        needed=('train2018.json', 'val2018.json'),
    ),
    'csv': Format(
        'csv',
        archives.write_csv,
        lambda s: f'pictures/{s.number}.jpg',
        ['class 0', 'class 1', 'class 2', 'class 3'],
        needed=('images.csv',),
    ),
}


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of each archive; not to be changed."""
    root = tmp_path_factory.mktemp('archives')
    folders = {}
    for name, spec in FORMATS.items():
        folders[name] = root / name.replace(' ', '_')
        folders[name].mkdir()
        spec.write(folders[name])
    return folders


@pytest.fixture(params=FORMATS)
def archive(request: pytest.FixtureRequest, written: dict, tmp_path: Path) -> tuple[Format, Path]:
    """A copy of an archive, that may be changed."""
    name = request.param
    return FORMATS[name], Path(shutil.copytree(written[name], tmp_path / written[name].name))


def expected_record(spec: Format, root: Path, sample: Sample, number: int) -> Record:
    """The record that a picture must give; ``number`` counts the pictures of its side from 1."""
    is_train, is_query, box = sample.is_train, None, sample.box
    if spec.split_by_class:
        is_train = sample.label < 2
    if spec.reader == 'inshop' and not is_train:
        is_query = sample.is_train
    if not spec.boxes or (spec.reader == 'csv' and sample.index == 3):
        box = None
    folder = 'cars_train' if is_train else 'cars_test'
    path = f'{folder}/{number:05d}.jpg' if spec.path is None else spec.path(sample)
    return Record(str(root / path), sample.label, is_train, box, is_query)


def test_every_image_has_its_label_side_and_box_and_none_is_opened(archive: tuple[Format, Path]):
    spec, root = archive
    reading = BENCHMARKS[spec.reader].read(root)
    counts, wanted = {True: 0, False: 0}, []
    for sample in samples(4, 4):
        counts[sample.is_train] += 1
        wanted.append(expected_record(spec, root, sample, counts[sample.is_train]))
    assert sorted(reading.records) == sorted(wanted)
    assert reading.classes == spec.classes
    assert reading.super_classes == spec.super_classes
    assert reading.train_classes == spec.train_classes
    assert all(Path(record.path).is_file() for record in reading.records)
    for record in reading.records:
        Path(record.path).unlink()
    assert BENCHMARKS[spec.reader].read(str(root)) == reading


def test_windows_line_ends_and_blank_ends_do_no_harm(archive: tuple[Format, Path]):
    spec, root = archive
    before = BENCHMARKS[spec.reader].read(root)
    for file in [*root.rglob('*.txt'), *root.rglob('*.csv')]:
        text = file.read_text().replace('\n', ' \t\r\n')
        file.write_text(f'\ufeff{text} \r\n', newline='')
    assert BENCHMARKS[spec.reader].read(root) == before


def test_a_missing_file_is_named_with_folder_source_and_layout(archive: tuple[Format, Path]):
    spec, root = archive
    assert spec.needed
    for name in spec.needed:
        (root / name).rename(root / 'elsewhere')
        with pytest.raises(FileNotFoundError) as error:
            BENCHMARKS[spec.reader].read(root)
        message = str(error.value)
        assert str(root) in message and name in message
        assert 'Official source: ' in message and 'Expected layout:\n  ROOT/' in message
        assert 'http' in message or spec.reader == 'csv'
        (root / 'elsewhere').rename(root / name)
