"""The loader against MMCV's, and reduced against full decoding."""

import io
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from dva_mm.datasets.image import MAX_PIXELS, exif_orientation, image_size, read_image
from dva_mm.datasets.resize import resize_antialiased


def load(path: Path, box: object = None, **reduce) -> dict:
    reduce = dict(min_edge=16, object_size=8, reducing_gap=1) | reduce
    transform = TRANSFORMS.build(dict(type='LoadImage', reduce=reduce))
    return transform(dict(img_path=str(path), box=box))


def load_mmcv(path: Path) -> np.ndarray:
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


def write_jpeg(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return path


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(
    ('mode', 'suffix'),
    [
        (mode, suffix)
        for suffix, modes in dict(
            jpg=['RGB', 'L', 'CMYK'],
            png=['RGB', 'L', 'P', 'RGBA', 'LA', '1', 'I;16'],
            tif=['RGB', 'RGBA', 'I;16'],
            webp=['RGB', 'RGBA'],
            bmp=['RGB'],
            gif=['P'],
        ).items()
        for mode in modes
    ],
)
def test_the_pixels_are_mmcvs(tmp_path: Path, mode: str, suffix: str):
    path, picture = tmp_path / f'a.{suffix}', Image.fromarray(detailed(41, 59))
    if mode == 'I;16':
        grey = np.arange(41 * 59, dtype=np.uint16).reshape(41, 59) * 27
        picture = Image.fromarray(grey)
    elif mode in ('RGBA', 'LA'):
        picture.putalpha(Image.fromarray(detailed(41, 59)[..., 0]))
        picture = picture.convert(mode)
    picture.convert(mode).save(path)
    expected = load_mmcv(path)
    transform = TRANSFORMS.build(dict(type='LoadImage'))
    results = transform(dict(img_path=str(path), box=(1, 2, 3, 4)))
    np.testing.assert_array_equal(results['img'], expected)
    assert results['box'] == (1, 2, 3, 4)
    assert results['img_shape'] == results['ori_shape'] == (41, 59)
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(read_image(source), expected)
        assert image_size(source) == (59, 41)
    if mode == 'I;16':  # sixteen bits become eight
        np.testing.assert_array_equal(expected, np.repeat((grey // 256)[..., None], 3, axis=2))


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
def test_an_image_is_turned_as_mmcv_turns_it(tmp_path: Path, suffix: str):
    path = tmp_path / f'a.{suffix}'
    for orientation in range(10):
        Image.fromarray(detailed(40, 64)).save(path, exif=oriented(orientation), quality=100)
        expected = load_mmcv(path)
        np.testing.assert_array_equal(read_image(path), expected)
        assert image_size(path) == expected.shape[1::-1]
        if suffix == 'jpg':
            with Image.open(path) as image:
                assert exif_orientation(image) == (orientation if 1 <= orientation <= 8 else 1)
            assert expected.shape[:2] == ((64, 40) if 5 <= orientation <= 8 else (40, 64))


@pytest.mark.parametrize(
    'extra',
    [
        dict(xmp=b'<x tiff:Orientation="6"/>'),
        dict(exif=b'Exif\0\0?'),
        dict(exif=b'Exif\0\0II*\0\xff\0\0\0'),
        dict(exif=b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01'),
    ],
)
def test_an_orientation_that_opencv_does_not_see_is_none(tmp_path: Path, extra: dict):
    buffer = io.BytesIO()
    Image.fromarray(detailed(64, 80)).save(buffer, 'JPEG', **extra)
    (tmp_path / 'a.jpg').write_bytes(buffer.getvalue())
    assert image_size(buffer.getvalue()) == (80, 64)
    assert load_mmcv(tmp_path / 'a.jpg').shape[:2] == (64, 80)
    assert load(tmp_path / 'a.jpg', (8, 8, 72, 56), min_edge=32)['ori_shape'] == (64, 80)


JPEG, PROGRESSIVE, PNG = (
    cv2.imencode(suffix, detailed(97, 131), options)[1].tobytes()
    for suffix, options in (('.jpg', []), ('.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ('.png', []))
)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no image',
        b'\xff\xd8\xff\xe0\x00\x10JFIF',
        JPEG[: len(JPEG) // 2],
        JPEG[:-2],
        JPEG[: len(JPEG) // 2] + bytes(len(JPEG) // 2),  # as a cut download is often filled
        JPEG[:-2] + b'more behind',
        PROGRESSIVE[: len(PROGRESSIVE) // 2],
        PNG[: len(PNG) // 2],
    ],
)
@pytest.mark.parametrize('reduce', [None, dict(min_edge=16, object_size=16)])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, reduce: dict | None):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    transform = TRANSFORMS.build(dict(type='LoadImage', reduce=reduce))
    for read in (read_image, lambda path: transform(dict(img_path=str(path)))):
        with pytest.raises(ValueError, match='broken.jpg') as error:
            read(path)
        assert f'({len(content)} bytes)' in str(error.value)
    if len(content) < 100:
        with pytest.raises(ValueError, match='broken.jpg'):
            image_size(path)


def test_the_end_of_a_jpeg_is_not_that_of_its_thumbnail(tmp_path: Path):
    exif = oriented(1).tobytes() + JPEG  # an end marker in the header
    buffer = io.BytesIO()
    Image.fromarray(detailed(97, 131)).save(buffer, 'JPEG', exif=exif)
    whole = buffer.getvalue()
    assert read_image(whole + b'trailing bytes').shape == (97, 131, 3)
    cut = whole[:-40] + b'trailing bytes'  # without them OpenCV may see it for itself
    with pytest.raises(ValueError, match='truncated'):
        read_image(cut)


def test_the_limit_of_pixels_is_read_from_the_header_and_can_be_lowered(tmp_path: Path):
    path = tmp_path / 'large.pgm'
    load_it = TRANSFORMS.build(dict(type='LoadImage'))
    for size in ((20000, 20000), (13377, 13378)):  # Pillow raises by itself, or warns
        path.write_bytes(b'P5 %d %d 255 ' % size)
        assert math.prod(size) > MAX_PIXELS
        for read in (read_image, image_size, lambda path: load_it(dict(img_path=str(path)))):
            with pytest.raises(ValueError, match=r'large.pgm is too large.*take it out'):
                read(path)
    path = write_jpeg(tmp_path / 'a.jpg', detailed(40, 50))
    assert read_image(path, max_pixels=2000).shape == (40, 50, 3)
    transform = TRANSFORMS.build(dict(type='LoadImage', max_pixels=1999))
    with pytest.raises(ValueError, match='a.jpg is too large: 50 x 40'):
        transform(dict(img_path=str(path)))


def test_a_missing_file_and_senseless_options_are_refused(tmp_path: Path):
    for read in (load, read_image, image_size):
        with pytest.raises(FileNotFoundError, match='missing.jpg'):
            read(tmp_path / 'missing.jpg')
    for option, value in dict(min_edge=0, scale=0.9, reducing_gap=math.nan, edge=3).items():
        with pytest.raises(ValueError, match=option):
            TRANSFORMS.build(dict(type='LoadImage', reduce={option: value}))
    for value in (0, 10**9):
        with pytest.raises(ValueError, match='max_pixels'):
            TRANSFORMS.build(dict(type='LoadImage', max_pixels=value))


@pytest.mark.parametrize(('min_edge', 'reduction'), [(48, 2), (24, 4), (12, 8), (49, 1)])
def test_a_jpeg_is_decoded_at_the_reduced_size(tmp_path: Path, min_edge: int, reduction: int):
    path = write_jpeg(tmp_path / 'a.jpg', detailed(97, 131))
    box = np.array([8, 16, 120, 96], dtype=np.float32)
    given = box.copy()
    results = load(path, box, min_edge=min_edge, object_size=4)
    height, width = math.ceil(97 / reduction), math.ceil(131 / reduction)
    assert results['img'].shape == (height, width, 3) and results['img'].dtype == np.uint8
    assert (results['img_shape'], results['ori_shape']) == ((height, width), (97, 131))
    np.testing.assert_array_equal(results['box'], given / reduction)
    np.testing.assert_array_equal(box, given)  # the data set's own
    full = load_mmcv(path)[: 97 // reduction * reduction, : 131 // reduction * reduction]
    blocks = full.reshape(97 // reduction, reduction, 131 // reduction, reduction, 3)
    inside = results['img'][: 97 // reduction, : 131 // reduction]
    assert mean_difference(inside, blocks.mean(axis=(1, 3))) < 3


@pytest.mark.parametrize('case', ['png', 'small', 'small object'])
def test_what_cannot_shrink_is_what_mmcv_loads(tmp_path: Path, case: str):
    box = (3.5, 2, 90, 60) if case != 'small object' else (50, 50, 60, 60)
    path = tmp_path / ('a.png' if case == 'png' else 'a.jpg')
    cv2.imwrite(str(path), detailed(97, 131))
    results = load(path, box, min_edge=60 if case == 'small' else 16)
    np.testing.assert_array_equal(results['img'], load_mmcv(path))
    assert results['box'] is box
    assert results['img_shape'] == results['ori_shape'] == (97, 131)


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
    path = tmp_path / 'a.jpg'
    Image.fromarray(picture).save(path, quality=98, exif=oriented(orientation))
    full = load_mmcv(path)
    ys, xs = np.nonzero(full.mean(axis=2) > 128)
    box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    results = load(path, box, min_edge=201 // reduction, object_size=4)
    height, width = full.shape[:2]
    assert results['ori_shape'] == (height, width)
    assert results['img_shape'] == (math.ceil(height / reduction), math.ceil(width / reduction))
    x1, y1, x2, y2 = results['box']
    assert centre(results['img']) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.05)
    assert (x2 - x1, y2 - y1) == ((box[2] - box[0]) / reduction, (box[3] - box[1]) / reduction)


def test_the_views_lose_nothing(tmp_path: Path):
    """Two usual filters differ more from one another than reduced from full decoding."""
    path = write_jpeg(tmp_path / 'a.jpg', detailed(480, 640))
    full = load_mmcv(path)
    expected = resize_antialiased(full, 100, 133)
    smoother = cv2.resize(full, (133, 100), interpolation=cv2.INTER_AREA)
    for gap, shape in ((2, (240, 320, 3)), (1, (120, 160, 3))):
        reduced = load(path, min_edge=100, object_size=90, reducing_gap=gap)['img']
        assert reduced.shape == shape
        difference = mean_difference(resize_antialiased(reduced, 100, 133), expected)
        # A gap of 1 would not do.
        assert (difference < mean_difference(smoother, expected)) == (gap == 2)


def test_views_stay_uint8_until_the_preprocessor(tmp_path: Path):
    path = write_jpeg(tmp_path / 'a.jpg', detailed(200, 260)[..., 0])  # grey
    views = [dict(type='RandomCrop', crop_size=32), dict(type='RandomFlip', prob=0.5)]
    steps = [
        dict(type='LoadImage', reduce=dict(min_edge=40, object_size=32)),  # at half of its size
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
        if step['type'] == 'LoadImage':
            assert results['img'].shape == (100, 130, 3)
    batch = default_collate([results, results])
    assert [view.dtype for view in batch['inputs']] == [torch.uint8] * 3
    assert [view.shape for view in batch['inputs']] == [(2, 3, 32, 32)] * 3
    assert results['data_samples'].ori_shape == (200, 260)
