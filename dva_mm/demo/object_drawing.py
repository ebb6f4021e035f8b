"""Draws the everyday things on which the demo's small ViT is pre-trained.

Sixteen kinds of thing in four variants each make 64 coarse classes. A variant is a shape (a fish's
tail, a house's roof) or a surface (plain, spots, bars, streaks). No species of the demo is among
them, nor any songbird: the only birds are an owl, a swan, a penguin and a flamingo. Colours, place,
size, light and scene never tell the class.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .canvas import (
    Canvas,
    oval,
    paint_pattern,
    paint_scene,
    paint_sprigs,
    rotate,
    shade,
    smooth,
)

RGB = tuple[int, int, int]
SURFACES = ('plain', 'spots', 'bars', 'streaks')


class Paint(NamedTuple):
    """Colours of one picture: two main ones, marks, outlines; and the marks' distance in units."""

    main: RGB
    other: RGB
    ink: RGB
    edge: RGB
    step: float


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _mirror(points: np.ndarray) -> np.ndarray:
    return np.asarray(points) * (-1, 1)


def _eye(canvas: Canvas, x: float, y: float, radius: float = 0.06) -> None:
    canvas.fill(oval((x, y), (radius, radius), count=20), (248, 246, 238))
    canvas.fill(oval((x, y), (radius * 0.6, radius * 0.6), count=16), (26, 24, 28))


def _fish(canvas: Canvas, tail: str, paint: Paint) -> None:
    shapes = {
        'forked': [[-0.5, 0], [-1, -0.4], [-0.8, 0], [-1, 0.4]],
        'round': oval((-0.75, 0), (0.28, 0.3)),
        'pointed': [[-0.5, -0.14], [-1.2, 0], [-0.5, 0.14]],
        'blunt': [[-0.5, -0.08], [-0.95, -0.3], [-0.95, 0.3], [-0.5, 0.08]],
    }
    canvas.fill(np.asarray(shapes[tail], dtype=float), paint.other, paint.edge)
    canvas.fill(oval((0, 0), (0.68, 0.34)), paint.main, paint.edge)
    canvas.fill(smooth([[0.1, 0], [-0.2, -0.08], [-0.25, 0.16]]), paint.other, paint.edge)
    _eye(canvas, 0.42, -0.08)


def _puffer(canvas: Canvas, surface: str, paint: Paint) -> None:
    canvas.fill(np.array([[-0.45, 0], [-0.85, -0.25], [-0.85, 0.25]]), paint.other, paint.edge)
    body = oval((0, 0), (0.6, 0.52))
    canvas.fill(body, paint.main, paint.edge)
    paint_pattern(canvas, oval((-0.05, 0), (0.5, 0.44)), surface, paint.ink, paint.step)
    _eye(canvas, 0.38, -0.14)


def _butterfly(canvas: Canvas, surface: str, paint: Paint) -> None:
    upper = smooth([[0.03, 0], [0.25, -0.6], [0.85, -0.65], [0.7, -0.05]])
    lower = smooth([[0.03, 0.02], [0.6, 0.1], [0.55, 0.55], [0.2, 0.5]])
    for wing, colour in ((lower, paint.other), (upper, paint.main)):
        for side in (wing, _mirror(wing)):
            canvas.fill(side, colour, paint.edge)
            paint_pattern(canvas, side, surface, paint.ink, paint.step)
    canvas.fill(oval((0, 0), (0.06, 0.4)), paint.edge)
    for feeler in (np.array([[0, -0.35], [0.2, -0.7]]), np.array([[0, -0.35], [-0.2, -0.7]])):
        canvas.stroke(feeler, paint.edge, 0.03)


def _flower(canvas: Canvas, petals: str, paint: Paint) -> None:
    canvas.stroke(smooth([[0, 0.1], [0.06, 0.6], [0, 1]], closed=False), (84, 132, 70), 0.07)
    number, blade = {
        'four': (4, oval((0.36, 0), (0.28, 0.24))),
        'many': (11, oval((0.38, 0), (0.28, 0.08))),
        'pointed': (6, np.array([[0, -0.16], [0.3, -0.16], [0.72, 0], [0.3, 0.16], [0, 0.16]])),
        'bell': (
            3,
            smooth([[0, -0.1], [0.4, -0.26], [0.7, -0.2], [0.6, 0], [0.7, 0.2], [0.4, 0.26]]),
        ),
    }[petals]
    turns = np.arange(number) * (0.7 if petals == 'bell' else 2 * np.pi / number)
    for turn in turns - (np.pi / 2 + 0.7 if petals == 'bell' else 0):
        canvas.fill(rotate(blade, turn), paint.main, paint.edge, 0.02)
    canvas.fill(oval((0, 0), (0.15, 0.15)), paint.other, paint.edge, 0.02)


def _cup(canvas: Canvas, surface: str, paint: Paint) -> None:
    ring = oval((0.52, -0.02), (0.26, 0.28))
    canvas.stroke(np.concatenate([ring, ring[:1]]), paint.edge, 0.13)
    canvas.stroke(np.concatenate([ring, ring[:1]]), paint.main, 0.08)
    side = np.array([[-0.5, -0.5], [0.5, -0.5], [0.4, 0.55], [-0.4, 0.55]])
    canvas.fill(side, paint.main, paint.edge)
    paint_pattern(canvas, side * 0.86, surface, paint.ink, paint.step)
    canvas.fill(oval((0, -0.5), (0.5, 0.1)), shade(paint.main, 0.7), paint.edge)


def _house(canvas: Canvas, roof: str, paint: Paint) -> None:
    top = {
        'gable': np.array([[-0.7, -0.1], [0, -0.7], [0.7, -0.1]]),
        'flat': _box(-0.68, -0.28, 0.68, -0.1),
        'dome': oval((0, -0.1), (0.6, 0.5)),
        'stepped': np.array(
            [[-0.6, -0.1], [-0.6, -0.35], [-0.2, -0.35], [-0.2, -0.6]]
            + [[0.2, -0.6], [0.2, -0.35], [0.6, -0.35], [0.6, -0.1]]
        ),
    }
    canvas.fill(top[roof], paint.other, paint.edge)
    canvas.fill(_box(-0.58, -0.1, 0.58, 0.6), paint.main, paint.edge)
    canvas.fill(_box(-0.1, 0.2, 0.14, 0.6), paint.ink, paint.edge)
    for x in (-0.45, 0.26):
        canvas.fill(_box(x, 0.06, x + 0.2, 0.28), (236, 230, 186), paint.edge)


def _tree(canvas: Canvas, crown: str, paint: Paint) -> None:
    canvas.fill(_box(-0.08, 0, 0.08, 0.9), (112, 84, 60), (66, 50, 38))
    if crown == 'round':
        for x, y in ((-0.25, -0.1), (0.25, -0.1), (0, -0.4)):
            canvas.fill(oval((x, y), (0.38, 0.34)), paint.main)
    elif crown == 'fir':
        for y in (0.3, 0, -0.3):
            canvas.fill(np.array([[-0.5, y], [0, y - 0.5], [0.5, y]]), paint.main, paint.edge)
    elif crown == 'palm':
        frond = smooth([[0, 0], [0.35, -0.2], [0.75, 0.1], [0.35, -0.05]])
        for turn in (-1.2, -0.5, 0.1):
            canvas.fill(rotate(frond, turn), paint.main, paint.edge)
            canvas.fill(_mirror(rotate(frond, turn)), paint.main, paint.edge)
    else:
        for turn in (-1.0, -0.5, 0.0, 0.5, 1.0):
            canvas.stroke(rotate(np.array([[0, 0.1], [0, -0.75]]), turn), (112, 84, 60), 0.06)


def _car(canvas: Canvas, body: str, paint: Paint) -> None:
    cabin = {
        'saloon': [[-0.5, -0.05], [-0.3, -0.42], [0.3, -0.42], [0.5, -0.05]],
        'bus': [[-0.85, -0.05], [-0.85, -0.55], [0.8, -0.55], [0.85, -0.05]],
        'pickup': [[0, -0.05], [0.05, -0.45], [0.42, -0.45], [0.55, -0.05]],
        'beetle': oval((0, 0), (0.7, 0.5)),
    }[body]
    canvas.fill(np.asarray(cabin, dtype=float), paint.main, paint.edge)
    canvas.fill(_box(-0.88, -0.06, 0.9, 0.3), paint.main, paint.edge)
    canvas.fill(_box(0.1, -0.34, 0.32, -0.1), (206, 226, 236), paint.edge)
    for x in (-0.48, 0.48):
        canvas.fill(oval((x, 0.3), (0.2, 0.2)), (44, 42, 46))
        canvas.fill(oval((x, 0.3), (0.09, 0.09)), paint.other)


def _boat(canvas: Canvas, rig: str, paint: Paint) -> None:
    canvas.stroke(np.array([[0, 0.2], [0, -0.85]]), paint.edge, 0.05)
    if rig in ('sail', 'two_sails'):
        canvas.fill(np.array([[0.06, -0.85], [0.62, 0.1], [0.06, 0.1]]), paint.other, paint.edge)
    if rig == 'two_sails':
        canvas.fill(np.array([[-0.06, -0.7], [-0.5, 0.1], [-0.06, 0.1]]), paint.other, paint.edge)
    if rig == 'funnel':
        canvas.fill(_box(-0.4, -0.15, 0.4, 0.2), (238, 234, 226), paint.edge)
        canvas.fill(_box(-0.16, -0.6, 0.16, -0.15), paint.other, paint.edge)
    if rig == 'flag':
        canvas.fill(_box(0.02, -0.85, 0.42, -0.55), paint.other, paint.edge)
    hull = np.array([[-0.8, 0.2], [0.85, 0.2], [0.55, 0.6], [-0.55, 0.6]])
    canvas.fill(hull, paint.main, paint.edge)


def _mushroom(canvas: Canvas, surface: str, paint: Paint) -> None:
    stem = smooth([[-0.15, -0.1], [0.15, -0.1], [0.22, 0.7], [-0.22, 0.7]])
    canvas.fill(stem, (238, 228, 206), paint.edge)
    cap = smooth([[-0.75, 0.05], [-0.5, -0.45], [0, -0.65], [0.5, -0.45], [0.75, 0.05], [0, 0.12]])
    canvas.fill(cap, paint.main, paint.edge)
    paint_pattern(canvas, cap, surface, paint.ink, paint.step)


def _beetle(canvas: Canvas, surface: str, paint: Paint) -> None:
    for y in (-0.25, 0.05, 0.35):
        canvas.stroke(np.array([[-0.75, y + 0.12], [0, y], [0.75, y + 0.12]]), paint.edge, 0.06)
    canvas.fill(oval((0, -0.52), (0.26, 0.22)), paint.other, paint.edge)
    back = oval((0, 0.1), (0.5, 0.6))
    canvas.fill(back, paint.main, paint.edge)
    paint_pattern(canvas, back * 0.9, surface, paint.ink, paint.step, np.pi / 2)
    canvas.stroke(np.array([[0, -0.45], [0, 0.68]]), paint.edge, 0.03)


def _hat(canvas: Canvas, crown: str, paint: Paint) -> None:
    shape = {
        'cone': np.array([[-0.42, 0.2], [0.1, -0.9], [0.42, 0.2]]),
        'tall': _box(-0.4, -0.7, 0.4, 0.2),
        'round': oval((0, 0.1), (0.45, 0.45)),
        'feather': oval((0, 0.1), (0.45, 0.38)),
    }[crown]
    if crown == 'feather':
        plume = smooth([[0.25, 0], [0.3, -0.5], [-0.1, -0.95], [0.1, -0.4]])
        canvas.fill(plume, paint.ink, paint.edge)
    canvas.fill(shape, paint.main, paint.edge)
    canvas.fill(oval((0, 0.25), (0.8, 0.15)), paint.main, paint.edge)
    canvas.fill(_box(-0.4, 0.02, 0.4, 0.16), paint.other)


def _face(canvas: Canvas, ears: str, paint: Paint) -> None:
    ear = {
        'pointed': np.array([[0.1, -0.35], [0.45, -0.85], [0.55, -0.15]]),
        'round': oval((0.42, -0.42), (0.22, 0.22)),
        'long': rotate(oval((0.22, -0.75), (0.12, 0.4)), 0.2),
        'horns': smooth([[0.2, -0.4], [0.65, -0.5], [0.6, -0.95], [0.45, -0.6]]),
    }[ears]
    for side in (ear, _mirror(ear)):
        canvas.fill(side, paint.other if ears == 'horns' else paint.main, paint.edge)
    canvas.fill(oval((0, 0), (0.6, 0.5)), paint.main, paint.edge)
    canvas.fill(oval((0, 0.22), (0.26, 0.18)), paint.other)
    canvas.fill(oval((0, 0.14), (0.08, 0.06)), paint.edge)
    for x in (-0.22, 0.22):
        _eye(canvas, x, -0.1, 0.09)


def _tool(canvas: Canvas, end: str, paint: Paint) -> None:
    canvas.stroke(np.array([[-0.9, 0], [0.4, 0]]), paint.edge, 0.15)
    canvas.stroke(np.array([[-0.88, 0], [0.4, 0]]), paint.main, 0.09)
    if end == 'hook':
        bend = smooth([[0.35, 0], [0.75, 0.02], [0.85, 0.28], [0.6, 0.4]], closed=False)
        canvas.stroke(bend, paint.edge, 0.15)
        canvas.stroke(bend, paint.main, 0.09)
    elif end == 'spoon':
        canvas.fill(oval((0.62, 0), (0.28, 0.19)), paint.other, paint.edge)
    elif end == 'spear':
        canvas.fill(np.array([[0.35, -0.2], [0.95, 0], [0.35, 0.2]]), paint.other, paint.edge)
    else:
        for y in (-0.2, 0.0, 0.2):
            canvas.stroke(np.array([[0.4, y * 0.9], [0.9, y]]), paint.edge, 0.08)
        canvas.stroke(np.array([[0.4, -0.2], [0.4, 0.2]]), paint.edge, 0.1)


def _bird(canvas: Canvas, family: str, paint: Paint) -> None:
    if family == 'owl':
        canvas.fill(oval((0, 0.15), (0.45, 0.65)), paint.main, paint.edge)
        for x in (-0.18, 0.18):
            _eye(canvas, x, -0.2, 0.17)
    elif family == 'penguin':
        canvas.fill(oval((0, 0.1), (0.4, 0.75)), paint.edge)
        canvas.fill(oval((0.06, 0.25), (0.28, 0.5)), (240, 238, 230))
        _eye(canvas, 0.14, -0.42)
    else:
        neck = smooth([[0.35, 0.1], [0.6, -0.2], [0.4, -0.6], [0.65, -0.75]], closed=False)
        if family == 'flamingo':
            canvas.stroke(np.array([[0, 0.2], [0.05, 1]]), paint.edge, 0.05)
        body = oval((0, 0.2), (0.4, 0.22) if family == 'flamingo' else (0.72, 0.32))
        canvas.fill(body, paint.main, paint.edge)
        canvas.stroke(neck, paint.main, 0.15)
        canvas.fill(oval((0.68, -0.74), (0.15, 0.12)), paint.main, paint.edge)
        _eye(canvas, 0.7, -0.77)


def _snail(canvas: Canvas, surface: str, paint: Paint) -> None:
    foot = smooth([[-0.8, 0.5], [0.2, 0.35], [0.55, -0.2], [0.8, -0.2], [0.7, 0.5]])
    canvas.fill(foot, paint.other, paint.edge)
    canvas.stroke(np.array([[0.7, -0.2], [0.85, -0.5]]), paint.edge, 0.04)
    shell = oval((-0.1, 0.02), (0.48, 0.46))
    canvas.fill(shell, paint.main, paint.edge)
    paint_pattern(canvas, shell, surface, paint.ink, paint.step)


_KINDS: dict[str, tuple[Callable[[Canvas, str, Paint], None], tuple[str, ...]]] = {
    'fish': (_fish, ('forked', 'round', 'pointed', 'blunt')),
    'puffer': (_puffer, SURFACES),
    'butterfly': (_butterfly, SURFACES),
    'flower': (_flower, ('four', 'many', 'pointed', 'bell')),
    'cup': (_cup, SURFACES),
    'house': (_house, ('gable', 'flat', 'dome', 'stepped')),
    'tree': (_tree, ('round', 'fir', 'palm', 'bare')),
    'car': (_car, ('saloon', 'bus', 'pickup', 'beetle')),
    'boat': (_boat, ('sail', 'two_sails', 'funnel', 'flag')),
    'mushroom': (_mushroom, SURFACES),
    'beetle': (_beetle, SURFACES),
    'hat': (_hat, ('cone', 'tall', 'round', 'feather')),
    'face': (_face, ('pointed', 'round', 'long', 'horns')),
    'tool': (_tool, ('hook', 'spoon', 'spear', 'fork')),
    'bird': (_bird, ('owl', 'penguin', 'swan', 'flamingo')),
    'snail': (_snail, SURFACES),
}
OBJECTS = tuple((kind, variant) for kind, (_, variants) in _KINDS.items() for variant in variants)


def draw_object(
    kind: str, variant: str, rng: np.random.Generator, size: tuple[int, int]
) -> np.ndarray:
    """Draw one picture of one coarse class, ``(H, W, 3)`` uint8 RGB.

    Args:
        kind: What to draw; first item of an entry of ``OBJECTS``.
        variant: Its variant; second item of the same entry.
        rng: The only source of chance.
        size: Width and height, pixels.
    """
    canvas = Canvas(size)
    paint_scene(canvas, rng, clutter=rng.uniform(0, 1))
    scale = rng.uniform(0.32, 0.5) * min(size)
    centre = rng.uniform((0.38, 0.4), (0.62, 0.6)) * size
    canvas.place(centre, scale, rng.uniform(-0.35, 0.35), bool(rng.random() < 0.5))
    main, other = rng.integers(60, 235, (2, 3)).tolist()
    dark_marks = sum(main) > 3 * 140
    ink = rng.integers(*((15, 80) if dark_marks else (200, 250)), 3).tolist()
    paint = Paint(main, other, ink, shade(main, 0.4), rng.uniform(0.14, 0.22))
    _KINDS[kind][0](canvas, variant, paint)
    if rng.random() < 0.2:
        paint_sprigs(canvas, rng, 1)
    return canvas.finish(rng)
