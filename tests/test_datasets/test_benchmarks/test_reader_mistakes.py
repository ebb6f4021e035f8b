"""Damaged archives and lists that disagree: each mistake is named with its file and entry."""

from collections.abc import Callable
from pathlib import Path

import archives
import pytest
from scipy.io import loadmat, savemat

from dva_mm.datasets import BENCHMARKS

Damage = Callable[[Path], object]


def edit(file: str, old: str, new: str) -> Damage:
    """Replace the first ``old`` in a text file."""

    def damage(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))

    return damage


def edit_matlab(file: str, name: str, change: Callable | None) -> Damage:
    """Change a variable of a MATLAB file, or take it out."""

    def damage(root: Path) -> None:
        content = {k: v for k, v in loadmat(root / file).items() if not k.startswith('__')}
        value = content.pop(name)
        savemat(root / file, content | ({name: change(value)} if change else {}))

    return damage


def write(file: str, content: bytes) -> Damage:
    return lambda root: (root / file).write_bytes(content)


def copy(file: str, target: str) -> Damage:
    return lambda root: (root / target).write_bytes((root / file).read_bytes())


WRITERS = {
    'cars': archives.write_cars_devkit,
    'cars single': archives.write_cars_single,
    'dogs': archives.write_dogs,
    'aircraft': archives.write_aircraft,
    'nabirds': archives.write_nabirds,
    'flowers': archives.write_flowers,
    'pets': archives.write_pets,
    'sop': archives.write_sop,
    'inshop': archives.write_inshop,
    'inaturalist': lambda root: archives.write_inaturalist(root, splits=True),
}
LABELLED = 'devkit/cars_test_annos_withlabels.mat'
SINGLE = 'cars_annos.mat'
DOG = 'Annotation/n02080001-breed-2/n02080001_3'
BOXES, FAMILIES = 'data/images_box.txt', 'data/images_family_test.txt'
PARTITION = 'Eval/list_eval_partition.txt'
TRAIN_LIST, TEST_LIST = (f'Inat_dataset_splits/Inaturalist_{s}_set1.txt' for s in ('train', 'test'))
# By archive: what to damage, what the error names.
MISTAKES = {
    'cars': [
        (copy('devkit/cars_test_annos.mat', LABELLED), 'cars_test_annos_withlabels.mat.* class'),
        (
            edit_matlab('devkit/cars_meta.mat', 'class_names', lambda names: names[:, :3]),
            r'cars_train_annos.mat, entry 7 \(00007.jpg\): class 4',
        ),
    ],
    'cars single': [
        (write(SINGLE, b'<html>404</html>' * 20), SINGLE),
        (edit_matlab(SINGLE, 'class_names', None), 'cars_annos.mat .*class_names.*annotations'),
    ],
    'dogs': [
        (edit_matlab('test_list.mat', 'labels', lambda x: x[:-1]), 'test_list.mat .*8.*7'),
        (
            edit_matlab('test_list.mat', 'labels', lambda labels: labels[::-1]),
            'test_list.mat, n02080000-breed-1/n02080000_3.jpg.*n02080003-breed-4',
        ),
        (lambda root: (root / DOG).unlink(), DOG),
        (edit(DOG, '<xmin>', '<min>'), DOG),
        (edit(DOG, 'xmin>', 'xm>'), DOG),
    ],
    'aircraft': [
        (
            edit('data/variants.txt', 'Model 2/A', 'Model 2/B'),
            "trainval.txt: image 0000005 .*'Model 2/A'",
        ),
        (
            edit(BOXES, '0000003 ', '0000099 '),
            'images_box.txt .*0000003 of images_variant_test.txt',
        ),
        (
            edit(FAMILIES, '0000003 ', '0000099 '),
            'images_family_test.txt .*0000003 of images_variant_test.txt',
        ),
        (
            edit(FAMILIES, 'Family 1', 'Family 2'),
            "images_family_test.txt, image 0000003: 'Model 1/A'.*'Family 2'.*'Family 1'",
        ),
        (edit(BOXES, '0000001 ', '0000001 7 '), "images_box.txt, image 0000001: .*'7 "),
    ],
    'nabirds': [
        (edit('classes.txt', '11 Duck 2', '99 Duck 2'), "'11'"),
        (edit('hierarchy.txt', '1 0', '1 3'), 'hierarchy.txt: class 10'),
    ],
    'flowers': [
        (copy('setid.mat', 'imagelabels.mat'), "imagelabels.mat .*labels.*'trnid'"),
        (
            edit_matlab('setid.mat', 'valid', lambda valid: valid * 0 + 1),
            'setid.mat lists image 1 twice',
        ),
        (edit_matlab('setid.mat', 'tstid', lambda test: test + 100), 'setid.mat .*imagelabels.mat'),
    ],
    'pets': [
        (
            edit('annotations/test.txt', 'Bengal_4 4 1', 'Bengal_4 4 3'),
            "test.txt, line 8: .*'Bengal_4 4 3 2'",
        ),
        (
            edit('annotations/test.txt', 'Bengal_4 4', 'Bengal_4 1'),
            "test.txt, line 8: 1 .*'Bengal'.*'Abyssinian'",
        ),
        (
            edit('annotations/trainval.txt', 'Abyssinian_2 1 1 1', 'Abyssinian_2'),
            "trainval.txt, line 2: .*'Abyssinian_2'",
        ),
    ],
    'sop': [
        (edit('Ebay_test.txt', '9 3 3 chair', '9 1 1 bicycle'), 'Ebay_test.txt, line 2: 1 '),
        (
            edit('Ebay_train.txt', '2 1 1 bicycle', '2 one 1 bicycle'),
            "Ebay_train.txt, line 3: 'one'",
        ),
    ],
    'inshop': [
        (edit(PARTITION, 'train', 'val'), "list_eval_partition.txt, line 3: .*'val'"),
        (edit(PARTITION, 'train', 'query'), 'list_eval_partition.txt, line 4: item id_00000001'),
        (
            edit('Anno/list_bbox_inshop.txt', '01_2_front', '01_9_front'),
            'list_bbox_inshop.txt .*id_00000001/01_2_front.jpg',
        ),
    ],
    'inaturalist': [
        (write('val2018.json', b'{"images": []}'), 'val2018.json .*annotations'),
        (write('train2018.json', b'<html>'), 'train2018.json'),
        (write('categories.json', b'[\xe4]'), 'categories.json'),
        (edit('val2018.json', '"category_id": 0', '"category_id": 77'), 'val2018.json: image 3 '),
        (
            edit('val2018.json', '"image_id": 4', '"image_id": 7'),
            'val2018.json, category of image: 7 ',
        ),
        (
            lambda root: [write(f'{side}2019.json', b'{}')(root) for side in ('train', 'val')],
            'train2018.json with val2018.json, train2019.json with val2019.json',
        ),
        (
            edit(TEST_LIST, 'Aves', 'Mammalia'),
            'Inaturalist_test_set1.txt .*train_val2018/Mammalia/0/',
        ),
        (copy(TRAIN_LIST, TEST_LIST), 'Inat_dataset_splits: 2 classes'),
    ],
}


@pytest.mark.parametrize(
    ('archive', 'damage', 'named'),
    [(archive, *mistake) for archive, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_is_named(archive: str, damage: Damage, named: str, tmp_path: Path):
    WRITERS[archive](tmp_path)
    read = BENCHMARKS[archive.split()[0]].read
    read(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=named) as error:
        read(tmp_path)
    assert str(tmp_path) in str(error.value)
