"""The scenes: a habitat decides their colours, a seed the rest."""

import numpy as np

from dva_mm.demo.canvas import Canvas
from dva_mm.demo.scene import HABITATS, paint_scene


def scene(habitat: tuple[str, str], seed: int) -> np.ndarray:
    canvas, rng = Canvas((64, 48)), np.random.default_rng(seed)
    paint_scene(canvas, rng, habitat)
    return canvas.finish(rng)


def test_ten_habitats_paint_what_their_seed_says():
    assert len(set(HABITATS)) == 10
    first, again, other = scene(HABITATS[3], 1), scene(HABITATS[3], 1), scene(HABITATS[3], 2)
    assert first.shape == (48, 64, 3)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_habitat_gives_the_scene_its_colours():
    """The top row's colour varies less within a habitat than over all of them."""
    tops = np.array([[np.median(scene(h, n)[0], axis=0) for n in range(8)] for h in HABITATS])
    assert tops.std(axis=1).mean() < tops.reshape(-1, 3).std(axis=0).mean() / 1.5
