"""Draws everyday things: the clutter of the demo, and what its encoder is pre-trained on.

There are sixteen kinds in four variants each. A variant is a shape (a fish's tail, a house's roof)
or a surface (plain, spots, bars, streaks). No songbird is among them: the only birds are an owl, a
swan, a penguin and a flamingo. Colours never tell what it is.
"""

from collections.abc import Callable, Sequence

import numpy as np

from dva_mm.demo.canvas import Canvas, shade

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
THINGS = tuple((kind, variant) for kind, (_, variants) in _KINDS.items() for variant in variants)


def paint_thing(canvas: Canvas, kind: str, variant: str, rng: np.random.Generator) -> None:
    """Draw an entry of ``THINGS`` where the canvas's unit coordinates lie, in random colours.

    >>> canvas = Canvas((48, 48))
    >>> paint_thing(canvas, 'cup', 'plain', np.random.default_rng(0))
    >>> bool(canvas.image.any())
    True
    """
    main, other = rng.integers(60, 235, (2, 3)).tolist()
    dark_marks = sum(main) > 3 * 140
    ink = rng.integers(*((15, 80) if dark_marks else (200, 250)), 3).tolist()
    paint = Paint(main, other, ink, shade(main, 0.4), rng.uniform(0.14, 0.22))
    _KINDS[kind][0](canvas, variant, paint)


def scatter_things(
    canvas: Canvas, rng: np.random.Generator, things: Sequence[tuple[str, str]]
) -> None:
    """Draw entries of ``THINGS`` at random places, each about a third of the picture high."""
    width, height = canvas.size
    for kind, variant in things:
        place = rng.uniform((0.1, 0.1), (0.9, 0.9)) * (width, height)
        flip = rng.random() < 0.5
        canvas.place(place, rng.uniform(0.2, 0.4) * height, rng.uniform(-0.35, 0.35), flip)
        paint_thing(canvas, kind, variant, rng)
