"""OPA on images whose every pixel is known."""

import itertools
import math
import random
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from test_boxes import BAD_BOXES, touched
from tiny_data import write_cub

from dva_mm.datasets import background_view, discriminative_view

HEIGHT, WIDTH = 24, 40
FILL = (10.0, 120.4, 250.0)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
CROP = [dict(type='CenterCrop', crop_size=16)]
STRETCH = [dict(type='Resize', scale=(16, 16), interpolation='nearest')]


@pytest.fixture
def image() -> np.ndarray:
    """(24, 40, 3): every pixel holds its x, its y, and a constant."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x, y, np.full_like(x, 77)], axis=-1).astype(np.uint8)


def grow(box: tuple, scale: str) -> tuple:
    """Twin of the enlargement, in exact fractions."""
    x1, y1, x2, y2 = (Fraction(value) for value in box)
    x, y, half = (x1 + x2) / 2, (y1 + y2) / 2, Fraction(scale) / 2
    return x - half * (x2 - x1), y - half * (y2 - y1), x + half * (x2 - x1), y + half * (y2 - y1)


def cut(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Twin of the crop: the pixels of a rectangular mask."""
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    return image[rows][:, columns]


def stretch(image: np.ndarray) -> np.ndarray:
    return TRANSFORMS.build(STRETCH[0])(dict(img=image))['img']


def pipeline(**options) -> torch.nn.Module:
    return TRANSFORMS.build({'type': 'OPA', 'original': CROP, **options})


@pytest.mark.parametrize(
    'box',
    [
        (20.2, 10.3, 30.6, 18.1),
        (10, 8, 30, 18),
        (-4.5, 2.5, 9.5, 11.5),
        (30.3, 15.2, 60.7, 70.9),
        (17.4, 9.4, 17.6, 9.6),
    ],
)
@pytest.mark.parametrize('kind', [tuple, np.float32])
def test_the_object_has_a_margin_and_the_background_is_all_but_the_box(
    image: np.ndarray, box: tuple, kind: type
):
    before, given = image.copy(), box if kind is tuple else np.asarray(box, dtype=kind)
    expected = cut(image, touched(grow(box, '1.3'), HEIGHT, WIDTH))
    np.testing.assert_array_equal(discriminative_view(image, given), expected)
    background = background_view(image, given, FILL)
    mask = touched(given, HEIGHT, WIDTH)
    assert (background[mask] == (10, 120, 250)).all() and background.dtype == np.uint8
    np.testing.assert_array_equal(background[~mask], image[~mask])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize('box', [(0, 0, WIDTH, HEIGHT), (-3, -3, 99, 99), (0.4, 0.4, 39.5, 23.5)])
def test_a_box_over_the_whole_image_leaves_no_background(image: np.ndarray, box: tuple):
    assert background_view(image, box, FILL) is None
    np.testing.assert_array_equal(discriminative_view(image, box), image)


@pytest.mark.parametrize('box', BAD_BOXES)
@pytest.mark.parametrize('kind', [tuple, np.float32])
def test_without_a_usable_box_the_image_itself_is_the_object(image, box, kind):
    results = dict(img=image, gt_label=4)
    if box is not None:  # else absent; BAD_BOXES are bad for an image of half the size
        box = tuple(2 * value for value in box)
        results['box'] = box if kind is tuple else np.asarray(box, dtype=kind)
    out = pipeline(discriminative=STRETCH)(results)
    assert out['has_background'] is False
    crop = image[4:20, 12:28]
    for view, expected in zip(out['img'], (crop, stretch(image), crop), strict=True):
        np.testing.assert_array_equal(view, expected)
    assert out['img'][2] is not out['img'][0]


@pytest.mark.parametrize('big', [1e30, 1e308])
def test_a_huge_box_is_the_whole_image(image: np.ndarray, big: float):
    np.testing.assert_array_equal(discriminative_view(image, (-big, -big, big, big)), image)
    box = np.clip([-big, -big, big, big], -3e38, 3e38).astype(np.float32)
    with np.errstate(over='ignore'):
        np.testing.assert_array_equal(discriminative_view(image, box), image)


def test_each_view_goes_through_its_own_pipeline(image: np.ndarray):
    box = (14, 6, 24, 16)
    flip = [*CROP, dict(type='RandomFlip', prob=1.0)]
    opa = pipeline(discriminative=STRETCH, background=flip, fill=FILL, channel_order='rgb')
    out = opa(dict(img=image, box=box, gt_label=4, img_path='a.png'))
    original, objects, background = out['img']
    np.testing.assert_array_equal(original, image[4:20, 12:28])
    np.testing.assert_array_equal(objects, stretch(discriminative_view(image, box)))
    context = background_view(image, box, FILL)
    np.testing.assert_array_equal(background, context[4:20, 12:28][:, ::-1])
    assert (out['has_background'], out['gt_label'], out['img_path']) == (True, 4, 'a.png')
    # Views without a pipeline take the original's.
    views = pipeline(original=STRETCH)(dict(img=image, box=box))['img']
    context = background_view(image, box, (103.53, 116.28, 123.675))
    for view, source in zip(views, (image, discriminative_view(image, box), context), strict=True):
        np.testing.assert_array_equal(view, stretch(source))


def test_the_box_goes_along_with_the_original_view(image: np.ndarray):
    marked = np.zeros_like(image)
    marked[6:16, 14:24] = 200
    half = [dict(type='ResizeAntialiased', scale=(WIDTH // 2, HEIGHT // 2))]
    crop = [dict(type='RandomCropFlip', size=10)]
    for resize, seed in itertools.product((None, half), range(20)):
        random.seed(seed)  # some crops cut the box, or miss it
        out = pipeline(original=crop, resize=resize)(dict(img=marked, box=(14, 6, 24, 16)))
        x1, y1, x2, y2 = np.clip(out['box'], 0, 10).astype(int)
        inside = np.zeros((10, 10), dtype=bool)
        inside[y1:y2, x1:x2] = True
        np.testing.assert_array_equal((out['img'][0] > 100).all(-1), inside)


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
def test_the_filled_pixels_are_zero_for_the_model(tmp_path: Path, image: np.ndarray, order: str):
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    rgb, options = order == 'rgb', dict(fill=IMAGENET['mean'], channel_order=order)
    steps = [
        dict(type='LoadImage'),
        dict(type='OPA', original=CROP, discriminative=STRETCH, **options),
        dict(type='PackInputs', algorithm_keys=('has_background',)),
    ]
    results = dict(img_path=str(tmp_path / 'a.png'), box=(16, 8, 22, 12), gt_label=0)
    for step in steps:
        results = TRANSFORMS.build(step)(results)
        if rgb and step['type'] == 'LoadImage':
            results['img'] = results['img'][..., ::-1].copy()
    preprocessor = MODELS.build(dict(type='SelfSupDataPreprocessor', to_rgb=not rgb, **IMAGENET))
    views = preprocessor(default_collate([results]), training=True)['inputs']
    filled = views[2][0][:, 4:8, 4:10]
    assert filled.abs().max() < 0.5 / 57  # only the rounding to whole grey values is left
    assert (views[0][0][:, 4:8, 4:10] - filled).abs().amax(dim=(1, 2)).min() > 0.3
    mask = torch.ones(16, 16, dtype=torch.bool)
    mask[4:8, 4:10] = False
    torch.testing.assert_close(views[2][0][:, mask], views[0][0][:, mask], rtol=0, atol=0)


SHRINK = [dict(type='Resize', scale=(20, 8), interpolation='area')]  # x by 2, y by 3


@pytest.mark.parametrize(
    'box', [(14, 6, 24, 16), (13.5, 5.1, 24.2, 15.9), (-3, -3, 9, 7), (30.3, 15.2, 60.7, 70.9)]
)
@pytest.mark.parametrize('kind', [tuple, np.float32])
def test_two_views_start_from_the_resized_image(image: np.ndarray, box: tuple, kind: type):
    given = box if kind is tuple else np.asarray(box, dtype=kind)
    whole = [dict(type='RandomFlip', prob=1.0)]
    opa = pipeline(
        resize=SHRINK, original=whole, discriminative=SHRINK, fill=FILL, channel_order='rgb'
    )
    resized, seen = opa.resize, []
    opa.resize = lambda results: seen.append(results['img']) or resized(results)
    before = image.copy()
    out = opa(dict(img=image, box=given, gt_label=4))
    small = TRANSFORMS.build(SHRINK[0])(dict(img=image))['img']
    scaled = [Fraction(float(v)) / n for v, n in zip(given, (2, 3, 2, 3), strict=True)]
    mask = touched(scaled, 8, 20)
    expected = small.copy()
    expected[mask] = (10, 120, 250)
    original, objects, background = out['img']
    np.testing.assert_array_equal(original, small[:, ::-1])
    np.testing.assert_array_equal(background, expected[:, ::-1])
    crop = discriminative_view(image, given)  # of the full image
    twin = TRANSFORMS.build(SHRINK[0])(dict(img=crop))['img']
    np.testing.assert_array_equal(objects, twin)
    assert (len(seen), seen[0] is image, out['gt_label']) == (1, True, 4)
    np.testing.assert_array_equal(image, before)


def test_an_object_without_a_pipeline_is_resized_as_well(image: np.ndarray):
    opa = pipeline(resize=STRETCH, original=[dict(type='CenterCrop', crop_size=8)])
    box = (14, 6, 24, 16)
    expected = stretch(discriminative_view(image, box))[4:12, 4:12]
    np.testing.assert_array_equal(opa(dict(img=image, box=box))['img'][1], expected)


@pytest.mark.parametrize('box', [*BAD_BOXES, (0, 0, 40, 24), (1.5, 1.5, 38.5, 22.5)])
def test_no_background_is_left_of_a_resized_image(image: np.ndarray, box: tuple | None):
    """The last box leaves a rim, which shares each of its resized pixels with the object."""
    if box is not None and box in BAD_BOXES:
        box = tuple(2 * value for value in box)
    opa = pipeline(resize=SHRINK, original=[dict(type='CenterCrop', crop_size=8)])
    out = opa(dict(img=image, box=box))
    assert out['has_background'] is False
    np.testing.assert_array_equal(out['img'][2], out['img'][0])
    assert out['img'][2] is not out['img'][0]


@pytest.mark.parametrize('resize', [None, [dict(type='Resize', scale=(40, 24))]])
def test_the_views_draw_independently(image: np.ndarray, resize: list | None):
    small = [dict(type='Resize', scale=(8, 8))]
    crop = [dict(type='RandomCrop', crop_size=8)]
    opa = pipeline(original=crop, discriminative=small, resize=resize)
    pairs = set()
    for _ in range(60):
        original, _, background = opa(dict(img=image, box=(0, 0, 1, 1)))['img']
        pairs.add((tuple(original[-1, -1, :2]), tuple(background[-1, -1, :2])))
    assert len({one for one, _ in pairs}) > 20
    assert len({other for _, other in pairs}) > 20
    assert sum(one != other for one, other in pairs) > 40


def test_the_objects_view_alone_may_be_of_another_size(image: np.ndarray):
    smaller, picture = [dict(type='CenterCrop', crop_size=8)], dict(img=image, img_path='a.png')
    with pytest.raises(ValueError, match='a.png'):
        pipeline(background=smaller)({**picture, 'box': (3, 3, 9, 9)})
    views = pipeline(discriminative=smaller)({**picture, 'box': (3, 3, 9, 9)})['img']
    assert views[1].shape[:2] == (8, 8) and views[0].shape == views[2].shape


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('scale', 0.9),
        ('scale', math.nan),
        ('scale', (2.0, 1.5)),
        ('shift', 1.0),
        ('channel_order', 'gray'),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: object):
    with pytest.raises(ValueError, match=f'{option} .*{re.escape(str(value))}'):
        pipeline(**{option: value})


def test_views_are_collated(tmp_path: Path):
    root = write_cub(tmp_path, num_classes=4, images_per_class=2)
    lines = (root / 'bounding_boxes.txt').read_text().splitlines()
    lines[1] = '2 0.0 0.0 48.0 40.0'  # all of the image: no background
    (root / 'bounding_boxes.txt').write_text('\n'.join(lines))
    steps = [
        dict(type='LoadImage'),
        dict(type='OPA', original=[dict(type='Resize', scale=(32, 32))]),
        dict(type='PackInputs', algorithm_keys=('has_background',)),
    ]
    dataset = DATASETS.build(dict(type='FineGrainedDataset', data_root=str(root), pipeline=steps))
    batch = default_collate([dataset[index] for index in range(4)])
    assert [view.shape for view in batch['inputs']] == [(4, 3, 32, 32)] * 3
    samples = [sample.has_background for sample in batch['data_samples']]
    assert samples == [True, False, True, True]


def test_the_object_view_alone_draws_its_place_and_enlargement():
    x = np.mgrid[:200, :200].astype(np.uint8)[::-1]
    image, box = np.stack([*x, x[0]], axis=-1), (80, 60, 120, 100)
    opa = pipeline(original=STRETCH, scale=(1.0, 2.0), shift=0.25)
    resize, cuts = opa.discriminative, []
    opa.discriminative = lambda results: cuts.append(results['img']) or resize(results)
    backgrounds = [opa(dict(img=image, box=box))['img'][2] for _ in range(200)]
    assert all(np.array_equal(view, backgrounds[0]) for view in backgrounds)
    places = []
    for axis, middle in ((0, 100), (1, 80)):
        sides = np.array([cut.shape[1 - axis] for cut in cuts])
        middles = np.array([cut[0, 0, axis] for cut in cuts]) + sides / 2
        assert 40 <= sides.min() < 44 and 76 < sides.max() <= 82
        assert middle - 11 <= middles.min() < middle - 8 and middle + 8 < middles.max()
        assert middles.max() <= middle + 11
        places += [sides, middles]
    assert abs(np.corrcoef(places)[0, [1, 3]]).max() < 0.25 > abs(np.corrcoef(places)[1, 3])
    assert pipeline(shift=0.25)(dict(img=image))['has_background'] is False
