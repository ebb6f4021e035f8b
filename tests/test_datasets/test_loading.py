"""Reduced decoding against full decoding, and fast resizing against Pillow's."""

import io
import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from test_boxes import touched

from dva_mm.datasets.loading import choose_reduction, resize_antialiased


def load(path: Path, box: object = None, **options) -> dict:
    options = dict(min_edge=16, object_size=8, reducing_gap=1) | options
    transform = TRANSFORMS.build(dict(type='LoadReducedImage', **options))
    return transform(dict(img_path=str(path), box=box))


def load_full(path: Path) -> np.ndarray:
    return TRANSFORMS.build(dict(type='LoadImageFromFile'))(dict(img_path=str(path)))['img']


def detailed(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 with detail at all scales, as photographs have."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 120.0, dtype=np.float32)
    across, contrast = 4, 40.0
    while across < width:
        noise = rng.normal(0, contrast, (max(2, across * height // width), across, 3))
        image += cv2.resize(noise.astype(np.float32), (width, height), interpolation=2)
        across, contrast = 2 * across, contrast / 1.5
    return np.clip(image, 0, 255).astype(np.uint8)


def write_jpeg(path: Path, image: np.ndarray, quality: int = 95) -> Path:
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def reduction_twin(
    height: int, width: int, box: tuple | None, min_edge: int, size: int, scale: str
) -> int:
    """Every pixel of the enlarged box is asked; sizes are exact fractions of a reduced pixel."""
    sides = (height, width)
    if box is not None and touched(box, height, width).any():
        x1, y1, x2, y2 = (Fraction(value) for value in box)
        x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, Fraction(scale) / 2
        grown = x - half * (x2 - x1), y - half * (y2 - y1), x + half * (x2 - x1)
        mask = touched((*grown, y + half * (y2 - y1)), height, width)
        sides = int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())
    kept = [
        n
        for n in (1, 2, 4, 8)
        if n == 1 or (Fraction(min(height, width), n) >= min_edge and min(sides) >= n * size)
    ]
    return max(kept)


@pytest.mark.parametrize('size', [(128, 160), (127, 160), (64, 64), (63, 80), (32, 40), (31, 99)])
@pytest.mark.parametrize(
    'box',
    [None, (0, 0, 30, 30), (4, 4, 16, 40), (10.5, 2.25, 22.8, 14.3), (-30, -30, 20, 20),
     (2, 2, 9, 9), (500, 500, 600, 600), (0, 0, 160, 128)],
)  # fmt: skip
@pytest.mark.parametrize('scale', ['1.0', '1.3', '2.0'])
def test_the_reduction_keeps_both_sizes(size: tuple[int, int], box: tuple | None, scale: str):
    expected = reduction_twin(*size, box, 16, 8, scale)
    assert choose_reduction(*size, box, 16, 8, float(scale), 1) == expected
    expected = reduction_twin(*size, box, 24, 12, scale)
    assert choose_reduction(*size, box, 16, 8, float(scale), 1.5) == expected


def test_each_reduction_occurs():
    edges = [511, 512, 1023, 1024, 2047, 2048, 99999]
    reductions = [choose_reduction(edge, 99999, reducing_gap=1) for edge in edges]
    assert reductions == [1, 2, 2, 4, 4, 8, 8]
    assert [choose_reduction(edge, 99999) for edge in edges] == [1, 1, 1, 2, 2, 4, 8]
    # Without a usable box the whole image is the object.
    assert choose_reduction(1024, 1024, None, min_edge=1, object_size=128) == 4
    assert choose_reduction(1024, 1024, (math.nan, 0, 9, 9), min_edge=1, object_size=257) == 1


@pytest.mark.parametrize(('min_edge', 'reduction'), [(48, 2), (24, 4), (12, 8), (49, 1)])
def test_a_jpeg_is_decoded_at_the_reduced_size(tmp_path: Path, min_edge: int, reduction: int):
    path = write_jpeg(tmp_path / 'a.jpg', detailed(97, 131))
    box = np.array([8, 16, 120, 96], dtype=np.float32)
    given = box.copy()
    results = load(path, box, min_edge=min_edge, object_size=4)
    height, width = math.ceil(97 / reduction), math.ceil(131 / reduction)
    assert results['img'].shape == (height, width, 3)
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == (height, width)
    assert results['ori_shape'] == (97, 131)
    np.testing.assert_array_equal(results['box'], given / reduction)
    np.testing.assert_array_equal(box, given)  # the data set's own
    full = load_full(path)[: 97 // reduction * reduction, : 131 // reduction * reduction]
    blocks = full.reshape(97 // reduction, reduction, 131 // reduction, reduction, 3)
    inside = results['img'][: 97 // reduction, : 131 // reduction]
    assert mean_difference(inside, blocks.mean(axis=(1, 3))) < 3


@pytest.mark.parametrize('case', ['png', 'small', 'small object'])
def test_what_cannot_shrink_is_what_mmcv_loads(tmp_path: Path, case: str):
    box = (3.5, 2, 90, 60) if case != 'small object' else (50, 50, 60, 60)
    path = tmp_path / ('a.png' if case == 'png' else 'a.jpg')
    cv2.imwrite(str(path), detailed(97, 131))
    results = load(path, box, min_edge=60 if case == 'small' else 16)
    np.testing.assert_array_equal(results['img'], load_full(path))
    assert results['box'] is box
    assert results['img_shape'] == results['ori_shape'] == (97, 131)


@pytest.mark.parametrize('box', [None, 'absent'])
def test_an_image_needs_no_box(tmp_path: Path, box: str | None):
    results = dict(img_path=str(write_jpeg(tmp_path / 'a.jpg', detailed(64, 80))), box=box)
    if box == 'absent':
        del results['box']
    options = dict(type='LoadReducedImage', min_edge=16, object_size=16)
    out = TRANSFORMS.build(options)(results)
    assert out['img'].shape == (32, 40, 3)
    assert out.get('box') is None


def centre(image: np.ndarray) -> tuple[float, float]:
    """x and y of the middle of what is bright, in pixels."""
    light = image.mean(axis=2)
    light = np.where(light > 20, light, 0)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return (x * light).sum() / light.sum(), (y * light).sum() / light.sum()


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('reduction', [2, 8])
def test_a_turned_photograph_keeps_its_box(tmp_path: Path, orientation: int, reduction: int):
    """Its size is no multiple of the reduction, so its last block of pixels is incomplete."""
    picture = np.zeros((201, 265, 3), np.uint8)
    picture[48:112, 72:216] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'a.jpg'
    Image.fromarray(picture).save(path, quality=98, exif=exif)
    full = load_full(path)
    ys, xs = np.nonzero(full.mean(axis=2) > 128)
    box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    results = load(path, box, min_edge=201 // reduction, object_size=4)
    height, width = full.shape[:2]
    assert results['ori_shape'] == (height, width)
    assert results['img_shape'] == (math.ceil(height / reduction), math.ceil(width / reduction))
    x1, y1, x2, y2 = results['box']
    assert centre(results['img']) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.05)
    assert (x2 - x1, y2 - y1) == ((box[2] - box[0]) / reduction, (box[3] - box[1]) / reduction)


@pytest.mark.parametrize('extra', [dict(xmp=b'<x tiff:Orientation="6"/>'), dict(exif=b'Exif\0\0?')])
def test_an_orientation_that_opencv_does_not_see_is_no_orientation(tmp_path: Path, extra: dict):
    buffer = io.BytesIO()
    Image.fromarray(detailed(64, 80)).save(buffer, 'JPEG', **extra)
    path = tmp_path / 'a.jpg'
    path.write_bytes(buffer.getvalue())
    results = load(path, (8, 8, 72, 56), min_edge=32)
    assert results['ori_shape'] == load_full(path).shape[:2] == (64, 80)


def test_grey_jpegs_have_three_channels(tmp_path: Path):
    path = write_jpeg(tmp_path / 'a.jpg', detailed(64, 80)[..., 0])
    image = load(path, min_edge=32)['img']
    assert image.shape == (32, 40, 3)
    assert (image == image[..., :1]).all()


def test_the_views_lose_nothing(tmp_path: Path):
    """Two usual filters differ more from one another than reduced from full decoding."""
    path = write_jpeg(tmp_path / 'a.jpg', detailed(480, 640))
    full = load_full(path)
    expected = resize_antialiased(full, 100, 133)
    smoother = cv2.resize(full, (133, 100), interpolation=cv2.INTER_AREA)
    reduced = load(path, min_edge=100, object_size=90, reducing_gap=2)['img']
    assert reduced.shape == (240, 320, 3)
    difference = mean_difference(resize_antialiased(reduced, 100, 133), expected)
    assert difference < mean_difference(smoother, expected)
    # A gap of 1 would not do.
    reduced = load(path, min_edge=100, object_size=90)['img']
    assert reduced.shape == (120, 160, 3)
    difference = mean_difference(resize_antialiased(reduced, 100, 133), expected)
    assert difference > mean_difference(smoother, expected)


@pytest.mark.parametrize('content', [b'', b'no image', b'\xff\xd8\xff\xe0\x00\x10JFIF'])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / 'broken.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=rf'broken.jpg \({len(content)} bytes\) is no image'):
        load(tmp_path / 'broken.jpg')


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='missing.jpg'):
        load(tmp_path / 'missing.jpg')


@pytest.mark.parametrize(
    'options',
    [dict(min_edge=0), dict(object_size=-1), dict(scale=0.9), dict(reducing_gap=math.nan)],
)
def test_senseless_sizes_are_refused(options: dict):
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got {value}'):
        TRANSFORMS.build(dict(type='LoadReducedImage', **options))


@pytest.mark.parametrize('size', [(60, 80), (80, 60), (61, 83), (64, 64), (20, 31)])
@pytest.mark.parametrize('scale', [32, (32, 32), [41, 29]])
def test_resizing_is_pillows_bicubic(size: tuple[int, int], scale: int | tuple):
    image = detailed(*size)
    results = TRANSFORMS.build(dict(type='ResizeAntialiased', scale=scale))(dict(img=image))
    kind = 'ResizeEdge' if isinstance(scale, int) else 'Resize'
    pillow = dict(type=kind, scale=scale, backend='pillow', interpolation='bicubic')
    expected = TRANSFORMS.build(pillow)(dict(img=image))
    assert results['img'].dtype == np.uint8
    assert results['img'].shape == expected['img'].shape
    assert np.abs(results['img'].astype(int) - expected['img']).max() <= 1
    assert results['img_shape'] == expected['img_shape']
    assert tuple(results['scale']) == tuple(expected['scale'])
    assert results['scale_factor'] == expected['scale_factor']


def test_any_strides_are_resized_alike():
    image = detailed(40, 50)
    cut = image[3:33, 5:45]
    for view in (cut, cut[:, ::-1], cut[::-1], cut[..., ::-1]):
        expected = resize_antialiased(view.copy(), 16, 16)
        np.testing.assert_array_equal(resize_antialiased(view, 16, 16), expected)


@pytest.mark.parametrize('scale', [0, -3, 2.5, (3, 0), (1, 2, 3), (), (4.0, 4)])
def test_a_senseless_size_is_refused(scale: object):
    with pytest.raises(ValueError, match='positive length of the shorter edge') as error:
        TRANSFORMS.build(dict(type='ResizeAntialiased', scale=scale))
    assert str(error.value).endswith(f'got {scale}')


def test_views_stay_uint8_until_the_preprocessor(tmp_path: Path):
    path = write_jpeg(tmp_path / 'a.jpg', detailed(200, 260))
    views = [dict(type='RandomCrop', crop_size=32), dict(type='RandomFlip', prob=0.5)]
    steps = [
        dict(type='LoadReducedImage', min_edge=40, object_size=32),  # at half of its size
        dict(
            type='OPA',
            resize=[dict(type='ResizeAntialiased', scale=40)],
            original=views,
            discriminative=[dict(type='ResizeAntialiased', scale=(32, 32)), views[1]],
        ),
        dict(type='PackInputs', algorithm_keys=('has_background',)),
    ]
    results = dict(img_path=str(path), box=(40, 30, 240, 190), gt_label=0)
    for step in steps:
        results = TRANSFORMS.build(step)(results)
        if step['type'] == 'LoadReducedImage':
            assert results['img_shape'] == (100, 130)
    batch = default_collate([results, results])
    assert [view.dtype for view in batch['inputs']] == [torch.uint8] * 3
    assert [view.shape for view in batch['inputs']] == [(2, 3, 32, 32)] * 3
    assert results['data_samples'].ori_shape == (200, 260)
