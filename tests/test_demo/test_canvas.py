"""The drawing surface: where shapes land, and what the object's box is."""

from itertools import combinations

import cv2
import numpy as np
import pytest

from dva_mm.demo.birds import BELLIES
from dva_mm.demo.canvas import SUPERSAMPLE, Canvas, oval, paint_pattern, rotate, smooth

SQUARE = np.array([[-9.0, -9.0], [9, -9], [9, 9], [-9, 9]])


def test_box_is_the_extent_of_what_was_marked():
    canvas = Canvas((60, 40))
    canvas.place((20, 15), 10)
    canvas.fill(SQUARE, (9, 9, 9))  # not marked
    canvas.marking = True
    canvas.fill(np.array([[-0.5, -0.5], [1.0, -0.5], [1.0, 0.5], [-0.5, 0.5]]), (250, 0, 0))
    x, y, w, h = box = canvas.box()
    assert np.abs(np.array([x, y, x + w, y + h]) - (15, 10, 30, 20)).max() <= 1
    with canvas.inside(oval((0, 0), (0.4, 0.4))):  # clips, and marks nothing
        canvas.fill(SQUARE, (0, 0, 255))
    assert canvas.box() == box
    expected = np.zeros_like(canvas.mask)
    cv2.circle(expected, (20 * SUPERSAMPLE, 15 * SUPERSAMPLE), 4 * SUPERSAMPLE, 255, -1)
    assert np.mean((canvas.image[..., 2] > 127) != (expected > 0)) < 0.01


@pytest.mark.parametrize(
    ('angle', 'flip', 'expected'),
    [(0, False, (70, 50)), (np.pi / 2, False, (50, 70)), (0, True, (30, 50))],
)
def test_place_turns_scales_and_flips(angle, flip, expected):
    canvas = Canvas((100, 100))
    canvas.place((50, 50), 20, angle, flip)
    canvas.marking = True
    canvas.fill(oval((1, 0), (0.05, 0.05)), (1, 1, 1))
    x, y, w, h = canvas.box()
    np.testing.assert_allclose((x + w / 2, y + h / 2), expected, atol=1.5)
    np.testing.assert_allclose(canvas.position((1, 0)), expected, atol=0.1)


def test_smooth_passes_through_its_points():
    points = np.array([[0.0, 0.0], [1, 0.5], [2, -1], [0.5, -2]])
    for closed, length in ((True, 24), (False, 19)):
        curve = smooth(points, closed=closed, steps=6)
        assert len(curve) == length
        assert np.allclose(curve[::6], points)
    # On a straight, evenly spaced line the curve is that line.
    line = np.stack([np.arange(4.0), np.arange(4.0)], axis=1)
    assert np.allclose(smooth(line, closed=False, steps=4)[4:8, 0], 1 + np.arange(4) / 4)


def test_rotate_matches_the_complex_plane():
    points, centre = np.array([[1.0, 2.0], [-3.0, 0.5]]), (0.5, -0.25)
    turned = ((points - centre) @ [1, 1j]) * np.exp(0.7j)
    expected = np.stack([turned.real + 0.5, turned.imag - 0.25], axis=1)
    assert np.allclose(rotate(points, 0.7, centre), expected)


def test_patterns_differ():
    pictures = []
    for pattern in BELLIES:
        canvas = Canvas((60, 60))
        canvas.place((30, 30), 30)
        paint_pattern(canvas, oval((0, 0), (0.8, 0.8)), pattern, (255, 255, 255), 0.2)
        pictures.append(canvas.image)
    assert not pictures[0].any()
    assert all((one != other).any() for one, other in combinations(pictures, 2))
