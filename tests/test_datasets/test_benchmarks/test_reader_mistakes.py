"""Damaged archives and lists that disagree: each mistake is named with its file and entry."""

from collections.abc import Callable
from pathlib import Path

import archives
import pytest
from scipy.io import loadmat, savemat

from dva_mm.datasets import BENCHMARKS


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first ``old`` in a text file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edit_matlab(path: Path, change: Callable[[dict], None]) -> None:
    """Change the variables of a MATLAB file."""
    content = {k: v for k, v in loadmat(path).items() if not k.startswith('__')}
    change(content)
    savemat(path, content)


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
DOG = 'Annotation/n02080001-breed-2/n02080001_3'
SPLIT = 'Inat_dataset_splits/Inaturalist_{}_set1.txt'
MISTAKES = [
    # reader, what to damage, what the error names
    (
        'cars',
        lambda root: (root / 'devkit/cars_test_annos.mat').replace(root / LABELLED),
        'cars_test_annos_withlabels.mat.* class',
    ),
    (
        'cars',
        lambda root: edit_matlab(
            root / 'devkit/cars_meta.mat', lambda c: c.update(class_names=c['class_names'][:, :3])
        ),
        r'cars_train_annos.mat, entry 7 \(00007.jpg\): class 4',
    ),
    (
        'cars single',
        lambda root: (root / 'cars_annos.mat').write_bytes(b'<html>404</html>' * 20),
        'cars_annos.mat',
    ),
    (
        'cars single',
        lambda root: edit_matlab(root / 'cars_annos.mat', lambda c: c.pop('class_names')),
        'cars_annos.mat .*class_names',
    ),
    (
        'dogs',
        lambda root: edit_matlab(
            root / 'test_list.mat', lambda c: c.update(labels=c['labels'][:-1])
        ),
        'test_list.mat .*8.*7',
    ),
    (
        'dogs',
        lambda root: edit_matlab(
            root / 'test_list.mat', lambda c: c.update(labels=c['labels'][::-1])
        ),
        'test_list.mat, n02080000-breed-1/n02080000_3.jpg.*n02080003-breed-4',
    ),
    ('dogs', lambda root: (root / DOG).unlink(), DOG),
    ('dogs', lambda root: edit(root / DOG, '<xmin>', '<min>'), DOG),
    ('dogs', lambda root: edit(root / DOG, 'xmin>', 'xm>'), DOG),
    (
        'aircraft',
        lambda root: edit(root / 'data/variants.txt', 'Model 2/A', 'Model 2/B'),
        "trainval.txt: image 0000005 .*'Model 2/A'",
    ),
    (
        'aircraft',
        lambda root: edit(root / 'data/images_box.txt', '0000003 ', '0000099 '),
        'images_box.txt .*0000003 of images_variant_test.txt',
    ),
    (
        'aircraft',
        lambda root: edit(root / 'data/images_family_test.txt', '0000003 ', '0000099 '),
        'images_family_test.txt .*0000003 of images_variant_test.txt',
    ),
    (
        'aircraft',
        lambda root: edit(root / 'data/images_family_test.txt', 'Family 1', 'Family 2'),
        "images_family_test.txt, image 0000003: 'Model 1/A'.*'Family 2'.*'Family 1'",
    ),
    (
        'aircraft',
        lambda root: edit(root / 'data/images_box.txt', '0000001 ', '0000001 7 '),
        "images_box.txt, image 0000001: .*'7 ",
    ),
    ('nabirds', lambda root: edit(root / 'classes.txt', '11 Duck 2', '99 Duck 2'), "'11'"),
    ('nabirds', lambda root: edit(root / 'hierarchy.txt', '1 0', '1 3'), 'hierarchy.txt: class 10'),
    (
        'flowers',
        lambda root: edit_matlab(root / 'setid.mat', lambda c: c.update(valid=c['trnid'])),
        'setid.mat lists image 1 twice',
    ),
    (
        'flowers',
        lambda root: edit_matlab(root / 'setid.mat', lambda c: c.update(tstid=c['tstid'] + 100)),
        'setid.mat .*imagelabels.mat',
    ),
    (
        'pets',
        lambda root: edit(root / 'annotations/test.txt', 'Bengal_4 4 1', 'Bengal_4 4 3'),
        "test.txt, line 8: .*'Bengal_4 4 3 2'",
    ),
    (
        'pets',
        lambda root: edit(root / 'annotations/test.txt', 'Bengal_4 4', 'Bengal_4 1'),
        "test.txt, line 8: 1 .*'Bengal'.*'Abyssinian'",
    ),
    (
        'pets',
        lambda root: edit(root / 'annotations/trainval.txt', 'Abyssinian_2 1 1 1', 'Abyssinian_2'),
        "trainval.txt, line 2: .*'Abyssinian_2'",
    ),
    (
        'sop',
        lambda root: edit(root / 'Ebay_test.txt', '9 3 3 chair', '9 1 1 bicycle'),
        'Ebay_test.txt, line 2: 1 ',
    ),
    (
        'sop',
        lambda root: edit(root / 'Ebay_train.txt', '2 1 1 bicycle', '2 one 1 bicycle'),
        "Ebay_train.txt, line 3: 'one'",
    ),
    (
        'inshop',
        lambda root: edit(root / 'Eval/list_eval_partition.txt', 'train', 'val'),
        "list_eval_partition.txt, line 3: .*'val'",
    ),
    (
        'inshop',
        lambda root: edit(root / 'Eval/list_eval_partition.txt', 'train', 'query'),
        'list_eval_partition.txt, line 4: item id_00000001',
    ),
    (
        'inshop',
        lambda root: edit(root / 'Anno/list_bbox_inshop.txt', '01_2_front', '01_9_front'),
        'list_bbox_inshop.txt .*id_00000001/01_2_front.jpg',
    ),
    (
        'inaturalist',
        lambda root: (root / 'val2018.json').write_text('{"images": []}'),
        'val2018.json .*annotations',
    ),
    (
        'inaturalist',
        lambda root: (root / 'train2018.json').write_text('<html>'),
        'train2018.json',
    ),
    (
        'inaturalist',
        lambda root: (root / 'categories.json').write_bytes(b'[\xe4]'),
        'categories.json',
    ),
    (
        'inaturalist',
        lambda root: edit(root / 'val2018.json', '"category_id": 0', '"category_id": 77'),
        'val2018.json: image 3 ',
    ),
    (
        'inaturalist',
        lambda root: edit(root / 'val2018.json', '"image_id": 4', '"image_id": 7'),
        'val2018.json, category of image: 7 ',
    ),
    (
        'inaturalist',
        lambda root: [(root / f'{side}2019.json').write_text('{}') for side in ('train', 'val')],
        'train2018.json with val2018.json, train2019.json with val2019.json',
    ),
    (
        'inaturalist',
        lambda root: edit(root / SPLIT.format('test'), 'Aves', 'Mammalia'),
        'Inaturalist_test_set1.txt .*train_val2018/Mammalia/0/',
    ),
    (
        'inaturalist',
        lambda root: (root / SPLIT.format('test')).write_text(
            (root / SPLIT.format('train')).read_text()
        ),
        'Inat_dataset_splits: 2 classes',
    ),
]


@pytest.mark.parametrize(('archive', 'damage', 'named'), MISTAKES)
def test_a_mistake_is_named(archive: str, damage: Callable, named: str, tmp_path: Path):
    WRITERS[archive](tmp_path)
    read = BENCHMARKS[archive.split()[0]].read
    read(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=named) as error:
        read(tmp_path)
    assert str(tmp_path) in str(error.value)
