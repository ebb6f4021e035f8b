"""Damaged archives and lists that disagree: each mistake is named with its file and entry."""

from collections.abc import Callable
from pathlib import Path

import archives
import pytest
from scipy.io import loadmat, savemat

from dva_mm.datasets import READERS, read_csv


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


MISTAKES = [
    (
        'cars',
        archives.write_cars_devkit,
        lambda root: (root / 'devkit/cars_test_annos.mat').replace(
            root / 'devkit/cars_test_annos_withlabels.mat'
        ),
        r'cars_test_annos_withlabels.mat: annotations lack class',
    ),
    (
        'cars',
        archives.write_cars_devkit,
        lambda root: edit_matlab(
            root / 'devkit/cars_meta.mat',
            lambda content: content.update(class_names=content['class_names'][:, :3]),
        ),
        r'cars_train_annos.mat, entry 7 \(00007.jpg\): class 4 has no name; there are 3',
    ),
    (
        'cars',
        archives.write_cars_single,
        lambda root: (root / 'cars_annos.mat').write_bytes(b'<html>404</html>' * 20),
        r'cars_annos.mat is not a readable MATLAB file',
    ),
    (
        'cars',
        archives.write_cars_single,
        lambda root: edit_matlab(root / 'cars_annos.mat', lambda c: c.pop('class_names')),
        r"cars_annos.mat has no variable class_names, only \['annotations'\]",
    ),
    (
        'dogs',
        archives.write_dogs,
        lambda root: edit_matlab(
            root / 'test_list.mat', lambda c: c.update(labels=c['labels'][:-1])
        ),
        r'test_list.mat has 8 images and 7 labels',
    ),
    (
        'dogs',
        archives.write_dogs,
        lambda root: edit_matlab(
            root / 'test_list.mat', lambda c: c.update(labels=c['labels'][::-1])
        ),
        r'test_list.mat: n02080000-breed-1/n02080000_3.jpg has label 4, which is n02080003-breed-4',
    ),
    (
        'dogs',
        archives.write_dogs,
        lambda root: (root / 'Annotation/n02080001-breed-2/n02080001_3').unlink(),
        r'n02080001-breed-2/n02080001_3 is not a readable annotation',
    ),
    (
        'dogs',
        archives.write_dogs,
        lambda root: edit(root / 'Annotation/n02080001-breed-2/n02080001_3', '<xmin>', '<min>'),
        r'n02080001-breed-2/n02080001_3 is not a readable annotation',
    ),
    (
        'dogs',
        archives.write_dogs,
        lambda root: edit(root / 'Annotation/n02080001-breed-2/n02080001_3', 'xmin>', 'xm>'),
        r'n02080001-breed-2/n02080001_3 is not a readable annotation',
    ),
    (
        'aircraft',
        archives.write_aircraft,
        lambda root: edit(root / 'data/variants.txt', 'Model 2/A', 'Model 2/B'),
        r"trainval.txt: image 0000005 is of variant 'Model 2/A', which variants.txt does not know",
    ),
    (
        'aircraft',
        archives.write_aircraft,
        lambda root: edit(root / 'data/images_box.txt', '0000003 ', '0000099 '),
        r'images_box.txt lacks image 0000003 of images_variant_test.txt',
    ),
    (
        'aircraft',
        archives.write_aircraft,
        lambda root: edit(root / 'data/images_family_test.txt', '0000003 ', '0000099 '),
        r'images_family_test.txt lacks image 0000003 of images_variant_test.txt',
    ),
    (
        'aircraft',
        archives.write_aircraft,
        lambda root: edit(root / 'data/images_family_test.txt', 'Family 1', 'Family 2'),
        r"variant 'Model 1/A' is of family 'Family 1' and, by image 0000003, of 'Family 2'",
    ),
    (
        'aircraft',
        archives.write_aircraft,
        lambda root: edit(root / 'data/images_box.txt', '0000001 ', '0000001 7 '),
        r"images_box.txt, image 0000001: expected xmin, ymin, xmax and ymax, got '7 ",
    ),
    (
        'nabirds',
        archives.write_nabirds,
        lambda root: edit(root / 'classes.txt', '11 Duck 2', '99 Duck 2'),
        r"image_class_labels.txt has classes \['11'\] that classes.txt does not know",
    ),
    (
        'nabirds',
        archives.write_nabirds,
        lambda root: edit(root / 'hierarchy.txt', '1 0', '1 3'),
        r'hierarchy.txt: class 10 is its own ancestor',
    ),
    (
        'flowers',
        archives.write_flowers,
        lambda root: edit_matlab(root / 'setid.mat', lambda c: c.update(valid=c['trnid'])),
        r'setid.mat lists image 1 twice',
    ),
    (
        'flowers',
        archives.write_flowers,
        lambda root: edit_matlab(root / 'setid.mat', lambda c: c.update(tstid=c['tstid'] + 100)),
        r'setid.mat lists 16 images and imagelabels.mat 16, or their numbers differ',
    ),
    (
        'pets',
        archives.write_pets,
        lambda root: edit(root / 'annotations/test.txt', 'Bengal_4 4 1', 'Bengal_4 4 3'),
        r"test.txt, line 8: expected .* species 1 \(cat\) or 2 \(dog\), got 'Bengal_4 4 3 2'",
    ),
    (
        'pets',
        archives.write_pets,
        lambda root: edit(root / 'annotations/test.txt', 'Bengal_4 4', 'Bengal_4 1'),
        r"test.txt, line 8: class 1 is \('Bengal', 'cat'\), elsewhere \('Abyssinian', 'cat'\)",
    ),
    (
        'pets',
        archives.write_pets,
        lambda root: edit(root / 'annotations/trainval.txt', 'Abyssinian_2 1 1 1', 'Abyssinian_2'),
        r"trainval.txt, line 2: expected \"image class-id species breed-id\", got 'Abyssinian_2'",
    ),
    (
        'sop',
        archives.write_sop,
        lambda root: edit(root / 'Ebay_test.txt', '9 3 3 chair', '9 1 1 bicycle'),
        r'Ebay_test.txt, line 2: class 1 is on both sides',
    ),
    (
        'sop',
        archives.write_sop,
        lambda root: edit(root / 'Ebay_train.txt', '2 1 1 bicycle', '2 one 1 bicycle'),
        r"Ebay_train.txt, line 3: 'one' is no class_id",
    ),
    (
        'inshop',
        archives.write_inshop,
        lambda root: edit(root / 'Eval/list_eval_partition.txt', 'train', 'val'),
        r"list_eval_partition.txt, line 3: status 'val' is none of \('train', 'query', 'gallery'\)",
    ),
    (
        'inshop',
        archives.write_inshop,
        lambda root: edit(root / 'Eval/list_eval_partition.txt', 'train', 'query'),
        r'list_eval_partition.txt, line 4: item id_00000001 is on both sides',
    ),
    (
        'inshop',
        archives.write_inshop,
        lambda root: edit(root / 'Anno/list_bbox_inshop.txt', '01_2_front', '01_9_front'),
        r'list_bbox_inshop.txt lacks img/WOMEN/Dresses/id_00000001/01_2_front.jpg',
    ),
    (
        'inaturalist',
        archives.write_inaturalist,
        lambda root: (root / 'val2018.json').write_text('{"images": []}'),
        r"val2018.json is no COCO-style JSON file: KeyError\('annotations'\)",
    ),
    (
        'inaturalist',
        archives.write_inaturalist,
        lambda root: (root / 'train2018.json').write_text('<html>'),
        r'train2018.json is no COCO-style JSON file',
    ),
    (
        'inaturalist',
        archives.write_inaturalist,
        lambda root: edit(root / 'val2018.json', '"category_id": 0', '"category_id": 77'),
        r'val2018.json: image 3 .*of a category without a name',
    ),
    (
        'inaturalist',
        archives.write_inaturalist,
        lambda root: edit(root / 'val2018.json', '"image_id": 4', '"image_id": 7'),
        r'val2018.json: image 7 is of category 0 and of 1',
    ),
    (
        'inaturalist',
        archives.write_inaturalist,
        lambda root: [(root / f'{side}2019.json').write_text('{}') for side in ('train', 'val')],
        r'several editions: train2018.json and val2018.json, train2019.json and val2019.json',
    ),
    (
        'inaturalist',
        lambda root: archives.write_inaturalist(root, splits=True),
        lambda root: edit(
            root / 'Inat_dataset_splits/Inaturalist_test_set1.txt', 'Aves', 'Mammalia'
        ),
        r'Inaturalist_test_set1.txt names train_val2018/Mammalia/0/.*JSON files do not know',
    ),
    (
        'inaturalist',
        lambda root: archives.write_inaturalist(root, splits=True),
        lambda root: (root / 'Inat_dataset_splits/Inaturalist_test_set1.txt').write_text(
            (root / 'Inat_dataset_splits/Inaturalist_train_set1.txt').read_text()
        ),
        r'Inat_dataset_splits: 2 classes are on both sides',
    ),
]


@pytest.mark.parametrize(('reader', 'write', 'damage', 'message'), MISTAKES)
def test_a_mistake_is_named(
    reader: str, write: Callable, damage: Callable, message: str, tmp_path: Path
):
    write(tmp_path)
    READERS[reader](tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        READERS[reader](tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('path,name\na.jpg,owl\n', r"images.csv has columns \['path', 'name'\]; expected"),
        ('path,label,x1,y1\na.jpg,owl,1,2\n', r"columns \['path', 'label', 'x1', 'y1'\]"),
        ('', r'images.csv has columns \[\]'),
        ('path,label\na.jpg,owl\nb.jpg\n', r"line 3: expected .*'label': ''"),
        ('path,label\na.jpg,owl,1\n', r'line 2: more values than the 2 columns'),
        ('path,label,split\na.jpg,owl,val\n', r"line 2: .*'train', 'test', 'query'.*'val'"),
        ('path,label,x1,y1,x2,y2\na.jpg,owl,1,2,,4\n', r"line 2: expected x1.* got '1 2  4'"),
        (
            'path,label,split\na.jpg,owl,train\nb.jpg,owl,test\nc.jpg,owl,query\n',
            r'split has test beside query and gallery',
        ),
    ],
)
def test_a_mistake_in_a_csv_file_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / 'images.csv').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_csv(tmp_path)
    assert str(tmp_path / 'images.csv') in str(error.value)
