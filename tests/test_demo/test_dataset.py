"""The demo data sets on disk."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from dva_mm.demo import dataset as demo
from dva_mm.demo.bird_drawing import draw_bird, make_species
from dva_mm.demo.dataset import MARKER, PARTS, draw_demo, draw_objects, draw_parts


def _table(root: Path, name: str) -> list[list[str]]:
    return [line.split(' ') for line in (root / name).read_text().splitlines()]


@pytest.fixture(scope='module')
def birds(tmp_path_factory) -> Path:
    return draw_demo(tmp_path_factory.mktemp('demo') / 'birds', 3, 4)


def test_cub_layout(birds):
    images = _table(birds, 'images.txt')
    assert [row[0] for row in images] == [str(i) for i in range(1, 13)]
    assert all((birds / 'images' / path).is_file() for _, path in images)
    assert sum(1 for _ in (birds / 'images').rglob('*.jpg')) == 12
    classes = dict(_table(birds, 'classes.txt'))
    assert list(classes) == ['1', '2', '3']
    for (number, path), (labelled, label) in zip(
        images, _table(birds, 'image_class_labels.txt'), strict=True
    ):
        assert labelled == number and path.split('/')[0] == classes[label]
        assert classes[label].startswith(f'{int(label):03d}.')
    split = _table(birds, 'train_test_split.txt')
    assert [flag for _, flag in split] == ['1', '0'] * 6


def test_boxes_and_pixels_are_those_of_the_drawing(birds):
    """Picture 6 (second species, second picture), drawn again with nothing but its seed."""
    rng = np.random.default_rng((0, 1, 1))
    size = (int(rng.integers(160, 193)), int(rng.integers(128, 161)))
    picture, box = draw_bird(make_species(3)[1], rng, size)
    number, *values = _table(birds, 'bounding_boxes.txt')[5]
    assert number == '6' and [float(v) for v in values] == [float(v) for v in box]
    stored = cv2.imread(str(birds / 'images' / _table(birds, 'images.txt')[5][1]))[..., ::-1]
    assert stored.shape == picture.shape
    assert np.abs(stored.astype(int) - picture).mean() < 4  # what JPEG takes away


def test_boxes_lie_inside_the_files(birds):
    sizes = set()
    for (_, path), (_, *values) in zip(
        _table(birds, 'images.txt'), _table(birds, 'bounding_boxes.txt'), strict=True
    ):
        height, width = cv2.imread(str(birds / 'images' / path)).shape[:2]
        x, y, w, h = map(float, values)
        assert 0 <= x < x + w <= width and 0 <= y < y + h <= height
        assert 160 <= width <= 192 and 128 <= height <= 160
        sizes.add((width, height))
    assert len(sizes) > 6


def test_drawn_once(birds, monkeypatch):
    def draw_again(*args):
        raise AssertionError('a set that is there was drawn again')

    monkeypatch.setattr(demo, 'draw_bird', draw_again)
    before = {path: path.stat().st_mtime_ns for path in birds.rglob('*')}
    assert draw_demo(birds, 3, 4) == birds
    assert {path: path.stat().st_mtime_ns for path in birds.rglob('*')} == before


def test_two_draws_are_equal_to_the_byte(birds, tmp_path):
    again = draw_demo(tmp_path / 'again', 3, 4)
    for path in sorted(birds.rglob('*.*')):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(birds)).read_bytes()
    other = draw_demo(tmp_path / 'other', 2, 2, seed=1)
    name = _table(other, 'images.txt')[0][1]
    assert (other / 'images' / name).read_bytes() != (birds / 'images' / name).read_bytes()


def test_other_settings_are_detected(birds):
    with pytest.raises(ValueError, match=rf'num_species.: 3.*Delete the folder {birds}'):
        draw_demo(birds, 4, 4)
    with pytest.raises(ValueError, match='birds.*Delete'):
        draw_objects(birds)


def test_a_folder_of_another_origin_is_left_alone(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('keep me')
    with pytest.raises(ValueError, match='files of another origin'):
        draw_demo(tmp_path / 'mine', 2, 2)
    assert [path.name for path in (tmp_path / 'mine').iterdir()] == ['notes.txt']


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(path, picture):
        if '0002' in path.name:
            raise KeyboardInterrupt

    monkeypatch.setattr(demo, '_save', fail)
    with pytest.raises(KeyboardInterrupt):
        draw_demo(tmp_path / 'birds', 2, 2)
    assert list(tmp_path.iterdir()) == []


def test_racing_processes_share_the_first_ones_set(tmp_path, monkeypatch):
    """Both pass the test for the folder, then each finishes its own drawing."""
    root, renamed, rename = tmp_path / 'birds', [], os.rename

    def rival_first(source, target):
        if not renamed:
            renamed.append(source)
            with ThreadPoolExecutor(1) as rival:  # draws a whole set while we are about to rename
                folder = rival.submit(_rival, tmp_path).result()
            rename(folder, target)
            (target / 'rival').touch()
        rename(source, target)

    monkeypatch.setattr(demo.os, 'rename', rival_first)
    assert draw_demo(root, 2, 2) == root
    assert renamed and (root / 'rival').exists() and (root / MARKER).exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != 'rival_set'] == ['birds']


def _rival(folder: Path) -> Path:
    return draw_demo(folder / 'rival_set', 2, 2)


@pytest.mark.parametrize('count', [0, 31])
def test_number_of_species_is_checked(tmp_path, count):
    with pytest.raises(ValueError, match=f'between 1 and 30.*got {count}'):
        draw_demo(tmp_path / 'birds', count)
    assert list(tmp_path.iterdir()) == []


def test_objects_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, 'OBJECTS', demo.OBJECTS[:2])
    root = draw_objects(tmp_path / 'objects', images_per_class=17)
    assert len(list(root.glob('train/*/*.jpg'))) == 30
    assert len(list(root.glob('val/*/*.jpg'))) == 4


def test_objects_dataset_draws_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, 'OBJECTS', demo.OBJECTS[:2])
    monkeypatch.setattr(
        demo, 'draw_objects', lambda root, draw=demo.draw_objects: draw(root, images_per_class=17)
    )
    for split, count in (('train', 30), ('val', 4)):
        dataset = DATASETS.build(
            dict(type='DemoObjects', data_root=str(tmp_path / 'o'), data_prefix=split, pipeline=[])
        )
        assert len(dataset) == count
        assert dataset.metainfo['classes'] == ('fish_forked', 'fish_round')


def test_parts_come_from_birds_of_no_demo_species(tmp_path, monkeypatch):
    drawn, species = [], set(make_species(30))

    def draw(region, bird, rng, side):
        drawn.append((region, bird))
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr(demo, 'draw_part', draw)
    root = draw_parts(tmp_path / 'parts', images_per_class=34)
    assert len(drawn) == 36 * 34 and not species & {bird for _, bird in drawn}
    for label, (region, fixed) in enumerate(PARTS):
        for shown, bird in drawn[34 * label : 34 * (label + 1)]:
            assert shown == region and all(getattr(bird, k) == v for k, v in fixed.items())
    assert len(list((root / 'train').iterdir())) == len(list((root / 'val').iterdir())) == 36
    assert len(list(root.glob('train/*/*.jpg'))) == 36 * 31
