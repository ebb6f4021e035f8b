"""Kept images against those that are decoded each time."""

import json
import os
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS, TRANSFORMS
from tiny_data import write_cub
from torch.utils.data import DataLoader

from dva_mm.datasets import ImageCache, LoadImage, image_cache

LOAD = dict(type='LoadImage')
SQUARE = dict(type='ResizeAntialiased', scale=(24, 16))
VIEWS = dict(type='OPA', original=[dict(type='ResizeAntialiased', scale=(16, 16))])


@pytest.fixture(scope='module')
def cub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp('cub'), num_classes=4, images_per_class=4)


def build(cub: Path, *steps: dict, **options) -> list:
    return DATASETS.build(
        dict(type='FineGrainedDataset', data_root=str(cub), pipeline=[LOAD, *steps], **options)
    )


def image_file(folder: Path, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Path:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'image.png'), image)
    return folder / 'image.png'


@pytest.mark.parametrize('scale', [(24, 16), 20])
def test_kept_images_are_the_resized_ones_and_boxes_go_along(cub: Path, tmp_path: Path, scale):
    resize = dict(type='ResizeAntialiased', scale=scale)
    plain, kept = build(cub, resize), build(cub, cache=dict(folder=tmp_path / 'c', scale=scale))
    for _ in range(2):  # decoded, then read
        for want, got in zip(plain, kept, strict=True):
            np.testing.assert_array_equal(got['img'], want['img'])
            assert got['img_shape'] == want['img_shape'] == got['img'].shape[:2]
            assert got['ori_shape'] == want['ori_shape']
            (height, width), (full_height, full_width) = want['img_shape'], want['ori_shape']
            x1, y1, x2, y2 = want['box']
            named = [x1 * width / full_width, y1 * height / full_height]
            named += [x2 * width / full_width, y2 * height / full_height]
            np.testing.assert_allclose(got['box'], named, rtol=1e-6)
    kept[0]['img'][:] = 0  # a copy
    np.testing.assert_array_equal(kept[0]['img'], plain[0]['img'])


def test_the_second_epoch_opens_no_image(cub: Path, tmp_path: Path, monkeypatch):
    copy = shutil.copytree(cub, tmp_path / 'cub')
    dataset = build(copy, SQUARE, cache=dict(folder=tmp_path / 'cache', scale=(24, 16)))
    first = [result['img'] for result in dataset]
    monkeypatch.setattr(LoadImage, 'transform', lambda *_: pytest.fail('decoded again'))
    assert all((one == other['img']).all() for one, other in zip(first, dataset, strict=True))
    again = build(copy, SQUARE, cache=dict(folder=tmp_path / 'cache', scale=(24, 16)))
    assert all((one == other['img']).all() for one, other in zip(first, again, strict=True))


def test_workers_and_data_sets_share_a_folder(cub: Path, tmp_path: Path):
    cache = dict(folder=tmp_path / 'cache', scale=(24, 16))
    sides = [build(cub, split=split, cache=cache) for split in ('train', 'test')]
    for side in sides:
        images = [result['img'] for result in build(cub, SQUARE, split=side.split)]
        for _ in range(2):
            workers = DataLoader(side, 2, num_workers=2, collate_fn=pseudo_collate)
            read = [image for batch in workers for image in batch['img']]
            np.testing.assert_array_equal(read, images)
    assert len(ImageCache(**cache)) == sum(map(len, sides))
    assert (tmp_path / 'cache' / 'pixels.uint8').stat().st_size == 16 * 24 * 16 * 3


def test_what_another_adds_meanwhile_is_kept(tmp_path: Path):
    (tmp_path / 'b').mkdir()
    one, other = (dict(img_path=str(image_file(tmp_path / f, len(f)))) for f in ('', 'b'))
    late, early = (ImageCache(tmp_path / 'cache', scale=20) for _ in range(2))

    class Waiting(LoadImage):
        def transform(self, results):
            early(dict(one))
            return super().transform(results)

    late.load = Waiting()
    late(dict(other))
    assert len(ImageCache(tmp_path / 'cache', scale=20)) == 2
    for path in (one, other):
        resize = TRANSFORMS.build(dict(type='ResizeAntialiased', scale=20))
        want = resize(LoadImage()(dict(path)))['img']
        np.testing.assert_array_equal(early(dict(path))['img'], want)


def test_a_changed_file_is_decoded_again(tmp_path: Path):
    cache = ImageCache(tmp_path / 'cache', scale=(30, 20))
    results = dict(img_path=str(image_file(tmp_path)))
    old = cache(dict(results))['img']
    stat = os.stat(image_file(tmp_path, seed=1))
    os.utime(results['img_path'], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    new = cache(dict(results))['img']
    assert (old != new).any()
    assert len(cache) == 2
    os.utime(results['img_path'], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    np.testing.assert_array_equal(cache(dict(results))['img'], new)


def test_what_an_interrupted_run_left_behind_does_no_harm(tmp_path: Path):
    (tmp_path / 'b').mkdir()
    one, other = image_file(tmp_path), image_file(tmp_path / 'b', seed=1)
    ImageCache(tmp_path / 'cache', scale=20)(dict(img_path=str(one)))
    for name, content in (('pixels.uint8', b'half an image'), ('records.bin', b'half a record')):
        with (tmp_path / 'cache' / name).open('ab') as file:
            file.write(content)
    for _ in range(2):
        cache = ImageCache(tmp_path / 'cache', scale=20)
        for path in (one, other):
            plain = TRANSFORMS.build(dict(type='ResizeAntialiased', scale=20))
            want = plain(LoadImage()(dict(img_path=str(path))))['img']
            np.testing.assert_array_equal(cache(dict(img_path=str(path)))['img'], want)
        assert len(cache) == 2


def test_another_size_in_the_same_folder_is_named(tmp_path: Path):
    ImageCache(tmp_path / 'cache', scale=20)
    with pytest.raises(ValueError, match=r'scale=\(20,\).*scale=\(30,\).*cache\.folder'):
        ImageCache(tmp_path / 'cache', scale=30)
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match=r'cache\.folder .*file.* no folder'):
        ImageCache(tmp_path / 'file', scale=20)
    with pytest.raises(ValueError, match='min_edge'):
        ImageCache(tmp_path / 'cache', scale=20, load=LoadImage(reduce=dict(min_edge=20)))
    assert set(json.loads((tmp_path / 'cache' / 'settings.json').read_text())) == {
        *('version', 'load', 'resize')
    }


def test_a_disk_too_small_is_named_before_and_while_it_fills(cub: Path, tmp_path, monkeypatch):
    cache = dict(folder=tmp_path / 'cache', scale=(24, 16))
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(9e9, 9e9, 8 * 24 * 16 * 3 - 1))
    with pytest.raises(OSError, match=r'8 images.*cache\.folder'):
        build(cub, cache=cache)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(9e9, 9e9, 8 * 24 * 16 * 3))
    dataset = build(cub, cache=cache)

    def full(*_):
        raise OSError(28, 'No space left on device')

    write = image_cache._write
    monkeypatch.setattr(image_cache, '_write', full)
    with pytest.raises(OSError, match='takes no more images.*No space left.*leave dataset.cache'):
        dataset[0]
    monkeypatch.setattr(image_cache, '_write', write)
    dataset[0]
    assert len(ImageCache(**cache)) == 1


def test_it_takes_the_place_of_load_image_alone(cub: Path, tmp_path: Path):
    cache = dict(folder=tmp_path / 'cache', scale=(24, 16))
    wrong = dict(type='FineGrainedDataset', data_root=str(cub), cache=cache)
    with pytest.raises(ValueError, match='needs LoadImage as the first step.*LoadImageFromFile'):
        DATASETS.build({**wrong, 'pipeline': [dict(type='LoadImageFromFile')]})
    with pytest.raises(ValueError, match=r"folder and scale, got \['folder'\]"):
        build(cub, cache=dict(folder=tmp_path / 'cache'))
    assert 'box' in DATASETS.build({**wrong, 'pipeline': []})[0]
    dataset = build(cub, VIEWS, cache=cache)
    dataset.set_epoch(1, seed=0)
    first = dataset[3]['img']
    assert len(first) == 3
    for view, again in zip(first, pickle.loads(pickle.dumps(dataset))[3]['img'], strict=True):
        np.testing.assert_array_equal(view, again)
