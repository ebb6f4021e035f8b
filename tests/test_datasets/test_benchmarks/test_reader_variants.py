"""What the official archives leave open: other places of a file, optional files, many classes."""

import json
from pathlib import Path

import archives
import pytest

from dva_mm.datasets import BENCHMARKS


def test_nabirds_trains_on_255_of_555_classes_in_the_order_of_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr('archives.text.save', lambda path, image: path.parent.mkdir(exist_ok=True))
    (tmp_path / 'images').mkdir()
    archives.write_nabirds(tmp_path, num_classes=555, images_per_class=1)  # ids 10 to 564
    reading = BENCHMARKS['nabirds'].read(tmp_path)
    assert reading.train_classes == frozenset(range(255))
    assert reading.classes == [f'Duck {i} (Adult male)' for i in range(1, 556)]


def test_cars_labels_of_the_test_side_may_lie_beside_the_devkit(tmp_path: Path):
    archives.write_cars_devkit(tmp_path)
    before = BENCHMARKS['cars'].read(tmp_path)
    name = 'cars_test_annos_withlabels.mat'
    (tmp_path / 'devkit' / name).rename(tmp_path / name)
    assert BENCHMARKS['cars'].read(tmp_path) == before
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        BENCHMARKS['cars'].read(tmp_path)


def test_dogs_lists_may_lie_in_a_folder(tmp_path: Path):
    archives.write_dogs(tmp_path)
    before = BENCHMARKS['dogs'].read(tmp_path)
    (tmp_path / 'lists').mkdir()
    for side in ('train', 'test'):
        (tmp_path / f'{side}_list.mat').rename(tmp_path / 'lists' / f'{side}_list.mat')
    assert BENCHMARKS['dogs'].read(tmp_path) == before


def test_a_dog_without_a_box_has_none(tmp_path: Path):
    archives.write_dogs(tmp_path)
    path = tmp_path / 'Annotation/n02080001-breed-2/n02080001_3'
    path.write_text('<annotation><folder>x</folder></annotation>')
    records = BENCHMARKS['dogs'].read(tmp_path).records
    assert [Path(r.path).name for r in records if r.box is None] == ['n02080001_3.jpg']


def test_inshop_without_boxes_and_with_pictures_in_the_root(tmp_path: Path):
    archives.write_inshop(tmp_path, boxes=False)
    records = BENCHMARKS['inshop'].read(tmp_path).records
    assert {record.box for record in records} == {None}
    (tmp_path / 'Img/img').rename(tmp_path / 'img')
    (tmp_path / 'Eval/list_eval_partition.txt').rename(tmp_path / 'list_eval_partition.txt')
    moved = BENCHMARKS['inshop'].read(tmp_path).records
    assert [r.path.replace('/Img/', '/') for r in records] == [r.path for r in moved]
    assert all(Path(record.path).is_file() for record in moved)


def test_inaturalist_without_lists_halves_and_takes_names_boxes_and_supercategories(
    tmp_path: Path,
):
    archives.write_inaturalist(tmp_path)
    assert BENCHMARKS['inaturalist'].read(tmp_path).train_classes is None
    names = [dict(id=i, name=f'Anas {i}', supercategory='Aves') for i in (3, 1, 2, 0)]
    (tmp_path / 'categories.json').write_text(json.dumps(names))
    content = json.loads((tmp_path / 'val2018.json').read_text())
    first = content['annotations'][0]
    first['bbox'] = [1, 2, 3, 4]
    content['annotations'].append({**first, 'bbox': [10, 20, 30, 40.5]})
    (tmp_path / 'val2018.json').write_text(json.dumps(content))
    reading = BENCHMARKS['inaturalist'].read(tmp_path)
    assert reading.classes == ['Anas 0', 'Anas 1', 'Anas 2', 'Anas 3']
    assert reading.super_classes == ['Aves'] * 4
    assert [record.box for record in reading.records if record.box] == [(10, 20, 40, 60.5)]
    for category in names:
        del category['supercategory']
    (tmp_path / 'categories.json').write_text(json.dumps(names))
    assert BENCHMARKS['inaturalist'].read(tmp_path).super_classes is None


def write_box_file(root: Path, name: str, boxes: dict[str, list[tuple]]) -> None:
    """A COCO-style file of boxes, by file name of the image, with ids of its own."""
    images = [dict(id=1000 + i, file_name=file) for i, file in enumerate(boxes)]
    annotations = [
        dict(id=10 * image['id'] + i, image_id=image['id'], category_id=77, bbox=list(box))
        for image in images
        for i, box in enumerate(boxes[image['file_name']])
    ]
    content = dict(images=images, annotations=annotations, categories=[])
    (root / name).write_text(json.dumps(content))


def test_inaturalist_2017_has_its_boxes_in_files_of_their_own(tmp_path: Path):
    archives.write_inaturalist(tmp_path)
    names = []
    for side in ('train', 'val'):
        path = (tmp_path / f'{side}2018.json').rename(tmp_path / f'{side}2017.json')
        images = json.loads(path.read_text())['images']
        names += [image['file_name'] for image in images[:2]]
    first, second, test, _ = names
    before = BENCHMARKS['inaturalist'].read(tmp_path)
    boxes = {first: [(1, 2, 3, 4), (10, 20, 30, 40.5), (5, 5, 5, 5)], second: []}
    write_box_file(tmp_path, 'train_2017_bboxes.json', boxes | {'elsewhere.jpg': [(0, 0, 1, 1)]})
    write_box_file(tmp_path, 'val_2017_bboxes.json', {test: [(3, 2, 7, 1)]})
    reading = BENCHMARKS['inaturalist'].read(tmp_path)
    found = {record.path: record.box for record in reading.records if record.box}
    assert found == {
        f'{tmp_path}/{first}': (10, 20, 40, 60.5),
        f'{tmp_path}/{test}': (3, 2, 10, 3),
    }
    assert [record._replace(box=None) for record in reading.records] == before.records
    (tmp_path / 'val_2017_bboxes.json').unlink()
    records = BENCHMARKS['inaturalist'].read(tmp_path).records
    assert sum(record.box is not None for record in records) == 1
    # Boxes of other images, or none.
    write_box_file(tmp_path, 'train_2017_bboxes.json', {'elsewhere.jpg': [(0, 0, 1, 1)]})
    with pytest.raises(ValueError, match='train_2017_bboxes.json'):
        BENCHMARKS['inaturalist'].read(tmp_path)
    (tmp_path / 'train_2017_bboxes.json').write_text('[]')
    with pytest.raises(ValueError, match='train_2017_bboxes.json'):
        BENCHMARKS['inaturalist'].read(tmp_path)


def test_the_mini_list_of_inaturalist_2021_goes_with_the_only_validation(tmp_path: Path):
    archives.write_inaturalist(tmp_path)
    before = BENCHMARKS['inaturalist'].read(tmp_path)
    (tmp_path / 'train2018.json').rename(tmp_path / 'train_mini.json')
    (tmp_path / 'val2018.json').rename(tmp_path / 'val.json')
    assert BENCHMARKS['inaturalist'].read(tmp_path) == before
    (tmp_path / 'train.json').write_text('{}')
    with pytest.raises(ValueError, match=r'train\.json.*train_mini\.json'):
        BENCHMARKS['inaturalist'].read(tmp_path)


def test_pets_lists_may_begin_with_the_comments_of_the_whole_list(tmp_path: Path):
    archives.write_pets(tmp_path)
    before = BENCHMARKS['pets'].read(tmp_path)
    lines = (tmp_path / 'annotations/list.txt').read_text().splitlines()
    comments = [line for line in lines if line.startswith('#')]
    path = tmp_path / 'annotations/trainval.txt'
    path.write_text('\n'.join([*comments, path.read_text()]))
    assert len(comments) == 6 and BENCHMARKS['pets'].read(tmp_path) == before


def test_matlab_lists_of_a_single_image_are_read(tmp_path: Path):
    # MATLAB files do not tell a list of one from its only entry.
    archives.write_cars_devkit(tmp_path / 'cars', num_classes=1, images_per_class=2)
    records = BENCHMARKS['cars'].read(tmp_path / 'cars').records
    assert [record.is_train for record in records] == [True, False]
    (tmp_path / 'dogs').mkdir()
    archives.write_dogs(tmp_path / 'dogs', num_classes=1, images_per_class=2)
    reading = BENCHMARKS['dogs'].read(tmp_path / 'dogs')
    assert reading.classes == ['breed-1']
    assert [record.path[-5:] for record in reading.records] == ['1.jpg', '2.jpg']
