"""How far a JPEG may shrink, against a twin in fractions; fast resizing against Pillow's."""

import math
from fractions import Fraction

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from test_boxes import touched
from test_image import detailed

from dva_mm.datasets.resize import choose_reduction, resize_antialiased


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
    edge = min(height, width)
    return max([1, *(n for n in (2, 4, 8) if edge >= n * min_edge and min(sides) >= n * size)])


@pytest.mark.parametrize('size', [(128, 160), (127, 160), (64, 64), (63, 80), (31, 99)])
@pytest.mark.parametrize(
    'box',
    [None, (0, 0, 30, 30), (10.5, 2.25, 22.8, 14.3), (-30, -30, 20, 20), (2, 2, 9, 9),
     (500, 500, 600, 600), (0, 0, 160, 128)],
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
    # Without a usable box the whole image is the object.
    assert choose_reduction(1024, 1024, (math.nan, 0, 9, 9), min_edge=1, object_size=257) == 1


@pytest.mark.parametrize('size', [(60, 80), (80, 60), (61, 83), (20, 31)])
@pytest.mark.parametrize('scale', [32, (32, 32), [41, 29]])
def test_resizing_is_pillows_bicubic(size: tuple[int, int], scale: int | tuple):
    image = detailed(*size)
    results = TRANSFORMS.build(dict(type='ResizeAntialiased', scale=scale))(dict(img=image))
    kind = 'ResizeEdge' if isinstance(scale, int) else 'Resize'
    pillow = dict(type=kind, scale=scale, backend='pillow', interpolation='bicubic')
    expected = TRANSFORMS.build(pillow)(dict(img=image))
    assert results['img'].dtype == np.uint8 and results['img'].shape == expected['img'].shape
    assert np.abs(results['img'].astype(int) - expected['img']).max() <= 1
    assert results['img_shape'] == expected['img_shape']
    assert tuple(results['scale']) == tuple(expected['scale'])
    assert results['scale_factor'] == expected['scale_factor']


def test_any_strides_are_resized_alike():
    cut = detailed(40, 50)[3:33, 5:45]
    for view in (cut, cut[:, ::-1], cut[::-1], cut[..., ::-1]):
        expected = resize_antialiased(view.copy(), 16, 16)
        np.testing.assert_array_equal(resize_antialiased(view, 16, 16), expected)


@pytest.mark.parametrize('scale', [0, -3, 2.5, (3, 0), (1, 2, 3), (), (4.0, 4)])
def test_a_senseless_size_is_refused(scale: object):
    with pytest.raises(ValueError, match='scale') as error:
        TRANSFORMS.build(dict(type='ResizeAntialiased', scale=scale))
    assert str(scale) in str(error.value)
