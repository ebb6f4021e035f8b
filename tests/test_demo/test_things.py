"""The things that lie about in the pictures."""

import numpy as np

from dva_mm.demo.canvas import Canvas
from dva_mm.demo.pretraining.datasets import draw_thing
from dva_mm.demo.scene import HABITATS
from dva_mm.demo.things import THINGS, scatter_things


def test_there_are_64_that_differ_and_repeat():
    assert len(THINGS) == len(set(THINGS)) == 64
    assert all(THINGS[i][0] == THINGS[i - i % 4][0] for i in range(64))
    pictures = {}
    for kind, variant in THINGS:
        picture, again = (
            draw_thing(kind, variant, np.random.default_rng(5), (96, 80), HABITATS[3], 0.3)
            for _ in range(2)
        )
        assert picture.shape == (80, 96, 3) and np.array_equal(picture, again)
        for other in pictures.setdefault(kind, []):
            assert (picture != other).any(), (kind, variant)
        pictures[kind].append(picture)


def test_scattered_things_lie_anywhere():
    covered = np.zeros((80, 96), int)
    for seed in range(60):
        canvas = Canvas((96, 80))
        scatter_things(canvas, np.random.default_rng(seed), THINGS[seed : seed + 1])
        covered += canvas.image[::2, ::2].any(axis=2)
    assert (covered[10:70:10, 10:90:10] > 0).all()
    assert covered.mean() < 20  # of 60: a thing covers less than a third of a picture
