"""Boxes on the pixel grid against a twin that asks every pixel."""

import math
from fractions import Fraction

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

from dva_mm.datasets import clip_box, scale_box

HEIGHT, WIDTH = 12, 20
BAD_BOXES = [
    None,
    (math.nan, 1, 5, 6),
    (1, 1, math.inf, 6),
    (-math.inf, -math.inf, math.inf, math.inf),
    (5, 2, 5, 8),
    (9, 2, 4, 8),
    (4, 8, 9, 2),
    (0, 0, 0, 0),
    (WIDTH, 0, WIDTH + 5, 5),
    (-9, -9, 0, 0),
    (3, HEIGHT + 1, 7, HEIGHT + 4),
]


def touched(box: tuple, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Twin: the pixels that share area with the box, (H, W) bool."""
    x1, y1, x2, y2 = (Fraction(float(value)) for value in box)
    return np.array(
        [
            [max(x1, x) < min(x2, x + 1) and max(y1, y) < min(y2, y + 1) for x in range(width)]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize(
    'box',
    [
        (2, 3, 8, 9),
        (2.999, 3.001, 8.001, 8.999),
        (4.2, 5.2, 4.4, 5.3),
        (-5, -5, 3, 3),
        (15.5, 8.5, 99, 99),
        (-1, -1, WIDTH + 1, HEIGHT + 1),
        (0, 0, WIDTH, HEIGHT),
        (19.9, 11.9, 25, 13),
    ],
)
@pytest.mark.parametrize('kind', [tuple, np.float32])
def test_clip_keeps_each_pixel_that_the_box_touches(box: tuple, kind: type):
    box = box if kind is tuple else np.asarray(box, dtype=kind)
    x1, y1, x2, y2 = clip_box(box, HEIGHT, WIDTH)
    kept = np.zeros((HEIGHT, WIDTH), dtype=bool)
    kept[y1:y2, x1:x2] = True
    np.testing.assert_array_equal(kept, touched(box))
    assert all(type(value) is int for value in (x1, y1, x2, y2))


@pytest.mark.parametrize('box', BAD_BOXES)
def test_a_box_without_a_pixel_in_the_image_gives_none(box: tuple | None):
    assert clip_box(box, HEIGHT, WIDTH) is None


@pytest.mark.parametrize('scale', [1.0, 1.3, 2.0, 0.5])
def test_scale_keeps_the_centre_and_multiplies_the_sides(scale: float):
    x1, y1, x2, y2 = scale_box((10.0, 20.0, 30.0, 28.0), scale)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((20, 24))
    assert (x2 - x1, y2 - y1) == pytest.approx((20 * scale, 8 * scale))


def test_center_box_is_the_middle_of_the_image():
    transform = TRANSFORMS.build(dict(type='CenterBox', share=0.5))
    results = transform(dict(img=np.zeros((40, 60, 3), np.uint8), gt_label=3))
    np.testing.assert_allclose(results['box'], (15, 10, 45, 30))
    assert results['gt_label'] == 3


@pytest.mark.parametrize('share', [0, 1, -0.5, 1.5])
def test_center_box_refuses_a_share_out_of_range(share: float):
    with pytest.raises(ValueError, match=f'CenterBox share .*, got {share}'):
        TRANSFORMS.build(dict(type='CenterBox', share=share))
