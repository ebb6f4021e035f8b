"""Draws the everyday things on which the demo's small ViT is pre-trained.

Sixteen kinds of thing in four variants each make 64 coarse classes. A variant is a shape (a fish's
tail, a house's roof) or a surface (plain, spots, bars, streaks). No species of the demo is among
them, nor any songbird: the only birds are an owl, a swan, a penguin and a flamingo. Colours, place,
size, light and scene never tell the class.
"""

from collections.abc import Callable

import numpy as np

from dva_mm.demo.canvas import Canvas, shade
from dva_mm.demo.scene import HABITATS, paint_scene, paint_sprigs

from . import living, made
from .paint import Paint

SURFACES = ('plain', 'spots', 'bars', 'streaks')
_KINDS: dict[str, tuple[Callable[[Canvas, str, Paint], None], tuple[str, ...]]] = {
    'fish': (living.fish, ('forked', 'round', 'pointed', 'blunt')),
    'puffer': (living.puffer, SURFACES),
    'butterfly': (living.butterfly, SURFACES),
    'flower': (living.flower, ('four', 'many', 'pointed', 'bell')),
    'cup': (made.cup, SURFACES),
    'house': (made.house, ('gable', 'flat', 'dome', 'stepped')),
    'tree': (living.tree, ('round', 'fir', 'palm', 'bare')),
    'car': (made.car, ('saloon', 'bus', 'pickup', 'beetle')),
    'boat': (made.boat, ('sail', 'two_sails', 'funnel', 'flag')),
    'mushroom': (living.mushroom, SURFACES),
    'beetle': (living.beetle, SURFACES),
    'hat': (made.hat, ('cone', 'tall', 'round', 'feather')),
    'face': (living.face, ('pointed', 'round', 'long', 'horns')),
    'tool': (made.tool, ('hook', 'spoon', 'spear', 'fork')),
    'bird': (living.bird, ('owl', 'penguin', 'swan', 'flamingo')),
    'snail': (living.snail, SURFACES),
}
OBJECTS = tuple((kind, variant) for kind, (_, variants) in _KINDS.items() for variant in variants)


def draw_object(
    kind: str, variant: str, rng: np.random.Generator, size: tuple[int, int]
) -> np.ndarray:
    """Draw an entry of ``OBJECTS``, (H, W, 3) uint8 RGB, of this (width, height)."""
    canvas = Canvas(size)
    habitat = HABITATS[rng.integers(len(HABITATS))]
    paint_scene(canvas, rng, habitat, clutter=rng.uniform(0, 1))
    scale = rng.uniform(0.32, 0.5) * min(size)
    centre = rng.uniform((0.38, 0.4), (0.62, 0.6)) * size
    canvas.place(centre, scale, rng.uniform(-0.35, 0.35), bool(rng.random() < 0.5))
    main, other = rng.integers(60, 235, (2, 3)).tolist()
    dark_marks = sum(main) > 3 * 140
    ink = rng.integers(*((15, 80) if dark_marks else (200, 250)), 3).tolist()
    paint = Paint(main, other, ink, shade(main, 0.4), rng.uniform(0.14, 0.22))
    _KINDS[kind][0](canvas, variant, paint)
    if rng.random() < 0.2:
        paint_sprigs(canvas, rng, habitat[1], 1)
    return canvas.finish(rng)
