"""The drawn birds: species, boxes, determinism."""

from dataclasses import astuple, replace
from itertools import combinations

import numpy as np
import pytest

from dva_mm.demo.birds import BEAKS, BELLIES, CRESTS, TAILS, WINGS, Species, draw_bird, make_species

SIZE = (168, 136)
PLAIN = Species('plain', 'none', 'cone', 'square', 'plain')
PARTS = dict(wing=WINGS, crest=CRESTS, beak=BEAKS, tail=TAILS, belly=BELLIES)


def draw(species: Species = PLAIN, seed: int = 0):
    return draw_bird(species, np.random.default_rng(seed), SIZE)


def test_species_differ_in_three_parts_and_each_half_has_every_part():
    species = make_species(30)
    assert len(species) == 30
    for one, other in combinations(species, 2):
        assert sum(a != b for a, b in zip(astuple(one), astuple(other), strict=True)) >= 3
    for half in (species[:15], species[15:]):
        assert {part: {getattr(s, part) for s in half} for part in PARTS} == {
            part: set(kinds) for part, kinds in PARTS.items()
        }
    with pytest.raises(ValueError, match='count=500'):
        make_species(500)


def test_same_seed_same_pixels():
    first, again, other = draw(seed=3), draw(seed=3), draw(seed=4)
    assert first.picture.dtype == np.uint8 and first.picture.shape == (SIZE[1], SIZE[0], 3)
    assert np.array_equal(first.picture, again.picture) and first.box == again.box
    assert not np.array_equal(first.picture, other.picture)


@pytest.mark.parametrize(
    'change', [{part: kind} for part in PARTS for kind in PARTS[part][1:]], ids=str
)
def test_species_differ_in_their_parts_alone(change):
    """With the same seed, a part changes pixels near the bird and none elsewhere."""
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


def test_colours_do_not_tell_the_species():
    """The picture's mean colour varies more within a species than between two."""
    means = np.array(
        [
            [draw(s, 100 * i + k).picture.mean(axis=(0, 1)) for k in range(10)]
            for i, s in enumerate(make_species(4))
        ]
    )
    assert means.mean(axis=1).std(axis=0).mean() < means.std(axis=1).mean()
