"""The drawn birds: species, boxes, determinism."""

from dataclasses import astuple, replace
from itertools import combinations

import numpy as np
import pytest

from dva_mm.demo.birds import (
    BEAKS,
    BELLIES,
    COATS,
    CRESTS,
    TAILS,
    WINGS,
    Species,
    draw_bird,
    make_species,
)

SIZE = (168, 136)
PLAIN = Species('rust', 'rust', 'none', 'cone', 'square', 'plain')
TRAITS = dict(coat=COATS, wing=WINGS, crest=CRESTS, beak=BEAKS, tail=TAILS, belly=BELLIES)


def draw(species: Species = PLAIN, seed: int = 0):
    return draw_bird(species, np.random.default_rng(seed), SIZE)


def test_species_differ_in_three_traits_and_each_half_has_every_kind():
    species = make_species(120)
    assert len(species) == 120 and species[:60] == make_species(60)
    for one, other in combinations(species, 2):
        assert sum(a != b for a, b in zip(astuple(one), astuple(other), strict=True)) >= 3
    for half in (species[:60], species[60:]):
        for trait, kinds in TRAITS.items():
            assert {getattr(bird, trait) for bird in half} == set(kinds)
    with pytest.raises(ValueError, match='count=9000'):
        make_species(9000)


def test_same_seed_same_pixels():
    first, again, other = draw(seed=3), draw(seed=3), draw(seed=4)
    assert first.picture.dtype == np.uint8 and first.picture.shape == (SIZE[1], SIZE[0], 3)
    assert np.array_equal(first.picture, again.picture) and first.box == again.box
    assert not np.array_equal(first.picture, other.picture)


@pytest.mark.parametrize(
    'change', [{trait: kind} for trait in TRAITS for kind in TRAITS[trait][1:]], ids=str
)
def test_species_differ_in_their_traits_alone(change):
    """With the same seed, a trait changes pixels near the bird and none elsewhere."""
    for seed in (2, 11):
        plain, changed = draw(seed=seed), draw(replace(PLAIN, **change), seed)
        where = (plain.picture != changed.picture).any(axis=2)
        rows, columns = np.nonzero(where)
        assert 0 < len(rows) < where.size / 4
        boxes = np.array([plain.box, changed.box])
        least, most = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        assert columns.min() >= least[0] - 2 and columns.max() < most[0] + 2
        assert rows.min() >= least[1] - 2 and rows.max() < most[1] + 2


def test_boxes_contain_the_bird_lie_inside_the_picture_and_vary():
    drawings = [draw(seed=seed) for seed in range(12)]
    boxes = np.array([drawing.box for drawing in drawings])
    x, y, w, h = boxes.T
    assert (x >= 0).all() and (y >= 0).all() and (w > 0).all() and (h > 0).all()
    assert (x + w <= SIZE[0]).all() and (y + h <= SIZE[1]).all()
    assert len({tuple(box) for box in boxes.tolist()}) == 12
    for (x, y, w, h), drawing in zip(boxes, drawings, strict=True):
        assert sorted(drawing.regions) == ['body', 'head', 'tail']
        for u, v in drawing.regions.values():
            assert x <= u <= x + w and y <= v <= y + h


def test_things_lie_behind_the_bird_and_do_not_move_it():
    """With the same seed, the bird's place is another: things draw from the generator first."""
    things = [('cup', 'plain'), ('house', 'dome')]
    with_things, again = (
        draw_bird(PLAIN, np.random.default_rng(4), SIZE, things=things) for _ in range(2)
    )
    other = draw_bird(PLAIN, np.random.default_rng(4), SIZE, things=[things[1], things[0]])
    assert np.array_equal(with_things.picture, again.picture)
    assert with_things.box == other.box
    x, y, w, h = with_things.box
    outside = (with_things.picture != other.picture).any(axis=2)
    inside = outside[y : y + h, x : x + w].mean()
    outside[y : y + h, x : x + w] = False
    assert outside.mean() > 0.02 and inside < 0.5


def test_light_changes_brightness_and_tint_and_nothing_else():
    plain, lit = (
        draw_bird(PLAIN, np.random.default_rng(4), SIZE, light=light) for light in (0, 0.5)
    )
    assert plain.box == lit.box
    shown = (plain.picture > 20) & (plain.picture < 180) & (lit.picture > 20) & (lit.picture < 250)
    ratio = np.where(shown, lit.picture / np.maximum(plain.picture, 1), np.nan)
    assert (np.abs(np.nanmedian(ratio, axis=(0, 1)) - 1) > 0.02).any()
    assert (np.nanstd(ratio, axis=(0, 1)) < 0.15).all()  # one factor a channel, but for the grain
