"""The drawn birds: parts, boxes, determinism."""

from dataclasses import astuple, replace
from itertools import combinations

import cv2
import numpy as np
import pytest

from dva_mm.demo.bird_drawing import (
    BEAKS,
    BELLIES,
    CRESTS,
    TAILS,
    WINGS,
    Species,
    draw_bird,
    draw_part,
    make_species,
)
from dva_mm.demo.canvas import SUPERSAMPLE, Canvas, oval, paint_pattern, rotate, smooth
from dva_mm.demo.object_drawing import OBJECTS, draw_object

SIZE = (168, 136)
PLAIN = Species('plain', 'none', 'cone', 'square', 'plain')


def _draw(species: Species = PLAIN, seed: int = 0):
    return draw_bird(species, np.random.default_rng(seed), SIZE)


def test_species_differ_in_three_parts():
    species = make_species(30)
    assert len(species) == 30
    for one, other in combinations(species, 2):
        assert sum(a != b for a, b in zip(astuple(one), astuple(other), strict=True)) >= 3


def test_both_halves_of_the_species_have_every_part():
    species = make_species(30)
    for half in (species[:15], species[15:]):
        for parts, known in zip(
            zip(*map(astuple, half), strict=True),
            (WINGS, CRESTS, BEAKS, TAILS, BELLIES),
            strict=True,
        ):
            assert set(parts) == set(known)


def test_too_many_species():
    with pytest.raises(ValueError, match='count=500.*fewer species'):
        make_species(500)


def test_same_seed_same_pixels():
    first, first_box = _draw(seed=3)
    again, again_box = _draw(seed=3)
    other, _ = _draw(seed=4)
    assert first.dtype == np.uint8 and first.shape == (SIZE[1], SIZE[0], 3)
    assert np.array_equal(first, again) and first_box == again_box
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    'change',
    [
        *[dict(wing=part) for part in WINGS[1:]],
        *[dict(crest=part) for part in CRESTS[1:]],
        *[dict(beak=part) for part in BEAKS[1:]],
        *[dict(tail=part) for part in TAILS[1:]],
        *[dict(belly=part) for part in BELLIES[1:]],
    ],
    ids=str,
)
def test_a_part_changes_a_small_share_of_the_picture(change):
    """With the same seed only the part differs: visible, inside either box, and small."""
    for seed in (2, 11):
        plain, box = _draw(seed=seed)
        changed, changed_box = _draw(replace(PLAIN, **change), seed)
        grey = np.abs(plain.astype(int) - changed).max(axis=2)
        rows, columns = np.nonzero(grey > 20)
        assert 5 < len(rows) < 0.1 * grey.size
        left = min(box[0], changed_box[0]) - 2
        top = min(box[1], changed_box[1]) - 2
        right = max(box[0] + box[2], changed_box[0] + changed_box[2]) + 2
        bottom = max(box[1] + box[3], changed_box[1] + changed_box[3]) + 2
        assert columns.min() >= left and columns.max() < right
        assert rows.min() >= top and rows.max() < bottom


def test_boxes_are_inside_and_vary():
    boxes = np.array([_draw(seed=seed)[1] for seed in range(12)])
    x, y, w, h = boxes.T
    assert (x >= 0).all() and (y >= 0).all()
    assert (x + w <= SIZE[0]).all() and (y + h <= SIZE[1]).all()
    assert (w > 25).all() and (h > 25).all()
    assert len(set(x)) > 6 and np.ptp(w * h) > 1000


def test_colours_do_not_tell_the_species():
    """The picture's mean colour varies more within a species than between two."""
    species = make_species(4)
    means = np.array(
        [
            [_draw(s, 100 * i + k)[0].mean(axis=(0, 1)) for k in range(10)]
            for i, s in enumerate(species)
        ]
    )
    within = means.std(axis=1).mean()
    between = means.mean(axis=1).std(axis=0).mean()
    assert between < within


def test_box_is_the_extent_of_the_marked_shape():
    canvas = Canvas((60, 40))
    canvas.place((20, 15), 10)
    canvas.fill(np.array([[-9.0, -9.0], [9, -9], [9, 9]]), (9, 9, 9))  # not marked
    canvas.marking = True
    canvas.fill(np.array([[-0.5, -0.5], [1.0, -0.5], [1.0, 0.5], [-0.5, 0.5]]), (250, 0, 0))
    x, y, w, h = canvas.box()
    assert abs(x - 15) <= 1 and abs(y - 10) <= 1 and abs(x + w - 30) <= 1 and abs(y + h - 20) <= 1
    before = canvas.box()
    with canvas.inside(oval((0.2, 0), (0.3, 0.3))):
        canvas.fill(np.array([[-9.0, -9.0], [9, -9], [9, 9], [-9, 9]]), (0, 0, 250))
    assert canvas.box() == before


def test_inside_clips_what_is_drawn():
    canvas = Canvas((40, 40))
    canvas.place((20, 20), 10)
    disc = oval((0, 0), (1, 1))
    with canvas.inside(disc):
        canvas.fill(np.array([[-2.0, -2.0], [2, -2], [2, 2], [-2, 2]]), (255, 255, 255))
    expected = np.zeros_like(canvas.mask)
    cv2.circle(expected, (20 * SUPERSAMPLE, 20 * SUPERSAMPLE), 10 * SUPERSAMPLE, 255, -1)
    assert np.mean((canvas.image[..., 0] > 127) != (expected > 0)) < 0.01


def test_place_turns_scales_and_flips():
    canvas = Canvas((100, 100))
    for angle, flip, expected in (
        (0, False, (70, 50)),
        (np.pi / 2, False, (50, 70)),
        (0, True, (30, 50)),
    ):
        canvas.place((50, 50), 20, angle, flip)
        canvas.mask[:], canvas.marking = 0, True
        canvas.fill(oval((1, 0), (0.05, 0.05)), (1, 1, 1))
        x, y, w, h = canvas.box()
        assert abs(x + w / 2 - expected[0]) < 1.5 and abs(y + h / 2 - expected[1]) < 1.5


def test_smooth_passes_through_its_points():
    points = np.array([[0.0, 0.0], [1, 0.5], [2, -1], [0.5, -2]])
    for closed in (True, False):
        curve = smooth(points, closed=closed, steps=6)
        assert len(curve) == (24 if closed else 19)
        assert np.allclose(curve[::6], points)
    # On a straight, evenly spaced line the curve is that line.
    line = np.stack([np.arange(4.0), np.arange(4.0)], axis=1)
    assert np.allclose(smooth(line, closed=False, steps=4)[4:8, 0], 1 + np.arange(4) / 4)


def test_rotate_matches_the_complex_plane():
    points = np.array([[1.0, 2.0], [-3.0, 0.5]])
    centre = (0.5, -0.25)
    turned = ((points - centre) @ [1, 1j]) * np.exp(0.7j)
    expected = np.stack([turned.real + 0.5, turned.imag - 0.25], axis=1)
    assert np.allclose(rotate(points, 0.7, centre), expected)


def test_patterns_differ():
    pictures = []
    for pattern in BELLIES:
        canvas = Canvas((60, 60))
        canvas.place((30, 30), 30)
        paint_pattern(canvas, oval((0, 0), (0.8, 0.8)), pattern, (255, 255, 255), 0.2)
        pictures.append(canvas.image[..., 0] > 127)
    assert not pictures[0].any()
    for one, other in combinations(pictures, 2):
        assert (one != other).mean() > 0.03


@pytest.mark.parametrize(
    ('region', 'change', 'other'),
    [('head', dict(beak='hook'), 'tail'), ('tail', dict(tail='fan'), 'head')],
)
def test_a_close_up_shows_its_region_and_not_the_far_end(region, change, other):
    def changed(shown: str) -> float:
        shares = []
        for seed in range(6):
            before, after = (
                draw_part(shown, bird, np.random.default_rng(seed), 80).astype(int)
                for bird in (PLAIN, replace(PLAIN, **change))
            )
            assert before.shape == (80, 80, 3)
            shares.append((np.abs(before - after).max(axis=2) > 30).mean())
        return float(np.mean(shares))

    assert changed(region) > 0.03 and changed(region) > 10 * changed(other)


def test_objects_are_64_classes_and_deterministic():
    assert len(OBJECTS) == len(set(OBJECTS)) == 64
    for kind, variant in OBJECTS[::9]:
        first, again = (
            draw_object(kind, variant, np.random.default_rng(5), (96, 80)) for _ in range(2)
        )
        assert first.shape == (80, 96, 3) and np.array_equal(first, again)


def test_every_variant_of_a_kind_looks_different():
    pictures = {}
    for kind, variant in OBJECTS:
        picture = draw_object(kind, variant, np.random.default_rng(5), (96, 80)).astype(int)
        for other in pictures.setdefault(kind, []):
            assert (np.abs(picture - other).max(axis=2) > 30).mean() > 0.002, (kind, variant)
        pictures[kind].append(picture)
