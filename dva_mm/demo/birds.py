"""Draws the birds of the demo data set.

A species is the colours of its coat and its wing, and four small parts: crest, beak, tail and belly
pattern. Size, place, pose, light, scene and all other colours vary from picture to picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np

from .canvas import RGB, Canvas, oval, paint_pattern, rotate, shade, smooth
from .scene import HABITATS, paint_scene, paint_sprigs
from .things import scatter_things

CRESTS = ('none', 'peaked', 'spiky', 'plume')
BEAKS = ('cone', 'needle', 'hook', 'broad')
TAILS = ('square', 'long', 'forked', 'fan')
BELLIES = ('plain', 'spots', 'bars', 'streaks')

_COLOURS = dict(  # RGB
    rust=(176, 82, 56),
    blue=(72, 110, 176),
    grey=(128, 124, 118),
    ochre=(208, 166, 66),
    green=(92, 136, 82),
    black=(66, 62, 74),
    rose=(186, 104, 134),
    white=(214, 206, 196),
)
COATS = WINGS = tuple(_COLOURS)
_PALE = ((244, 236, 216), (248, 222, 170), (236, 236, 238), (246, 214, 204))
_HORN = dict(  # RGB of beak and feet
    cone=(204, 92, 62), needle=(70, 62, 58), hook=(222, 158, 62), broad=(150, 140, 126)
)


@dataclass(frozen=True)
class Species:
    """What makes a species: one each of ``COATS``, ``WINGS``, ``CRESTS``, ``BEAKS``, ..."""

    coat: str
    wing: str
    crest: str
    beak: str
    tail: str
    belly: str


def make_species(count: int, distance: int = 3) -> list[Species]:
    """Choose ``count`` species, any two of which differ in at least ``distance`` of the six traits.

    Fewer are the first of more. ValueError if so many are not found.

    >>> make_species(1)
    [Species(coat='ochre', wing='rust', crest='peaked', beak='cone', tail='long', belly='plain')]
    """
    kinds = (COATS, WINGS, CRESTS, BEAKS, TAILS, BELLIES)
    candidates = np.array(list(product(*(range(len(names)) for names in kinds))))  # (N, 6)
    left = np.random.default_rng(4).permutation(len(candidates))
    chosen: list[Species] = []
    while len(chosen) < count and len(left):
        traits = candidates[left[0]]
        chosen.append(Species(*(names[i] for names, i in zip(kinds, traits, strict=True))))
        left = left[(candidates[left] != traits).sum(axis=1) >= distance]
    if len(chosen) < count:
        raise ValueError(
            f'count={count} species that differ in distance={distance} traits were not found, only '
            f'{len(chosen)}; ask for fewer species or a smaller distance'
        )
    return chosen


def _vary(rng: np.random.Generator, colour: RGB) -> RGB:
    return tuple(np.clip(colour + rng.normal(0, 8, 3), 0, 255))


def _pick(rng: np.random.Generator, colours: tuple[RGB, ...]) -> RGB:
    return _vary(rng, colours[rng.integers(len(colours))])


def _tail(kind: str) -> list[np.ndarray]:
    """Feathers of a tail that starts at the origin and points left."""
    if kind == 'square':
        return [np.array([[0.1, -0.1], [-0.42, -0.12], [-0.42, 0.1], [0.1, 0.1]])]
    if kind == 'long':
        return [smooth([[0.1, -0.08], [-0.5, -0.06], [-0.95, 0.0], [-0.5, 0.07], [0.1, 0.09]])]
    if kind == 'forked':
        prong = np.array([[0.1, -0.06], [-0.35, -0.1], [-0.72, -0.04], [-0.4, 0.06], [0.1, 0.08]])
        return [rotate(prong, 0.3), rotate(prong * (1, -1), -0.3)]
    blade = smooth([[0, 0], [-0.3, -0.08], [-0.52, 0], [-0.3, 0.08]])
    return [rotate(blade, angle) for angle in (0.62, -0.62, 0.31, -0.31, 0.0)]


def _crest(kind: str) -> list[np.ndarray]:
    """Feathers of a crest on a head of radius 0.21 about the origin that looks right."""
    if kind == 'peaked':
        return [smooth([[0.12, -0.15], [-0.02, -0.28], [-0.26, -0.42], [-0.2, -0.05]])]
    if kind == 'spiky':
        spike = np.array([[-0.05, -0.16], [0.0, -0.38], [0.05, -0.16]])
        return [rotate(spike, angle) for angle in (-1.1, -0.72, -0.34, 0.04, 0.4)]
    if kind == 'plume':
        return [
            smooth([[-0.05, -0.17], [-0.2, -0.32], [-0.46, -0.3], [-0.6, -0.12], [-0.44, -0.2]]),
            smooth([[-0.1, -0.14], [-0.24, -0.22], [-0.44, -0.16], [-0.52, 0.0], [-0.38, -0.08]]),
        ]
    return []


def _beak(kind: str) -> np.ndarray:
    """A beak for the same head."""
    if kind == 'cone':
        return np.array([[0.13, -0.13], [0.37, 0.0], [0.13, 0.12]])
    if kind == 'needle':
        return np.array([[0.17, -0.05], [0.64, 0.0], [0.17, 0.05]])
    if kind == 'hook':
        return smooth(
            [[0.14, -0.13], [0.34, -0.12], [0.43, 0.02], [0.39, 0.2], [0.31, 0.05], [0.15, 0.09]]
        )
    return smooth(
        [[0.15, -0.09], [0.3, -0.03], [0.52, -0.06], [0.56, 0.04], [0.4, 0.09], [0.15, 0.09]]
    )


class Drawing(NamedTuple):
    """One picture of one bird; all lengths in pixels."""

    picture: np.ndarray
    """(H, W, 3) uint8 RGB."""
    box: tuple[int, int, int, int]
    """(x, y, w, h), inside the picture, around everything from beak to tail and feet."""
    regions: dict[str, np.ndarray]
    """Centres (x, y) of 'head', 'body' and 'tail'."""
    unit: float
    """By which close-ups are cut: half the bird, or half the height under a twig drawn last."""


def draw_bird(
    species: Species,
    rng: np.random.Generator,
    size: tuple[int, int],
    scale: tuple[float, float] = (0.38, 0.55),
    habitat: tuple[str, str] | None = None,
    light: float = 0.0,
    things: Sequence[tuple[str, str]] = (),
) -> Drawing:
    """Draw one picture, (width, height) = ``size``, of one bird.

    ``rng`` decides all but the traits: a unit is between the two shares ``scale`` of the picture's
    height long, and the scene is of ``habitat``, one of ``HABITATS``, or of any if that is None.
    ``light``, 0 to 1, is how much brightness and tint vary. ``things``, entries of ``THINGS``, lie
    about behind the bird.

    >>> drawing = draw_bird(make_species(1)[0], np.random.default_rng(0), size=(160, 128))
    >>> drawing.picture.shape
    (128, 160, 3)
    """
    canvas = Canvas(size)
    drawn = HABITATS[rng.integers(len(HABITATS))]
    sky, season = habitat or drawn
    paint_scene(canvas, rng, (sky, season))
    scatter_things(canvas, rng, things)
    unit = rng.uniform(*scale) * min(size[0] / 1.3, size[1])
    centre = rng.uniform((0.44, 0.45), (0.56, 0.56)) * size
    flip, slope = bool(rng.random() < 0.5), rng.uniform(-0.55, 0.2)

    coat = _vary(rng, _COLOURS[species.coat])
    wing_coat = _vary(rng, _COLOURS[species.wing])
    horn = _vary(rng, _HORN[species.beak])
    belly_coat, edge = _pick(rng, _PALE), shade(coat, 0.45)
    ink = shade(_pick(rng, tuple(_COLOURS.values())), rng.uniform(0.3, 0.5))

    # The perch is no part of the bird, and stays level while the bird leans.
    canvas.place(centre, unit, rng.uniform(-0.12, 0.12), flip)
    bend = 0.68 + rng.normal(0, 0.04)
    perch = np.array([[-4, 0.74], [-1, bend], [0, 0.7], [1.2, 0.66], [4, 0.8]])
    canvas.stroke(smooth(perch, closed=False), (96, 74, 54), rng.uniform(0.1, 0.18))
    canvas.stroke(smooth(perch - (0, 0.03), closed=False), (134, 106, 78), 0.03)

    canvas.marking = True
    for foot in (-0.02, 0.16):
        hip = rotate(np.array([[foot, 0.3]]), slope)[0]
        canvas.stroke(np.array([hip, [foot + 0.03, 0.66]]), horn, 0.045)
        canvas.stroke(np.array([[foot - 0.05, 0.68], [foot + 0.13, 0.67]]), horn, 0.045)

    canvas.place(centre, unit, slope, flip)
    swing = rng.uniform(-0.3, 0.35)
    tail_coat = shade(wing_coat, rng.uniform(0.75, 1.0))
    for feather in _tail(species.tail):
        canvas.fill(rotate(feather * 1.25, swing) + (-0.46, 0.05), tail_coat, edge)

    head = np.array([0.42, -0.34]) + rng.uniform((-0.07, -0.07), (0.07, 0.07))
    nod = -slope + rng.uniform(-0.4, 0.3)
    for feather in _crest(species.crest):
        canvas.fill(rotate(feather * 1.35, nod) + head, shade(coat, 0.85), edge)
    torso = oval((0, 0), (0.56, 0.35), 0.1)
    outline = np.concatenate([torso, oval(head, (0.25, 0.24))]).astype(np.float32)
    body = cv2.convexHull(outline)[:, 0].astype(np.float64)
    canvas.fill(body, coat, edge, 0.035)
    belly = oval((0.14, 0.2), (0.46, 0.27), -0.25)
    with canvas.inside(body):
        canvas.fill(oval((0.12, 0.24), (0.5, 0.3), -0.25), belly_coat)
        paint_pattern(canvas, belly, species.belly, ink, rng.uniform(0.16, 0.19), -0.15)

    canvas.fill(rotate(_beak(species.beak) * 1.35, nod) + head, horn, shade(horn, 0.5), 0.02)
    canvas.fill(oval(head, (0.23, 0.22)), coat)
    eye = rotate(np.array([[0.07, -0.04]]), nod)[0] + head
    canvas.fill(oval(eye, (0.055, 0.055), count=20), (250, 246, 236))
    canvas.fill(oval(eye, (0.036, 0.036), count=16), (24, 22, 26))

    tilt = rng.uniform(-0.22, 0.18)
    wing = smooth(
        [[0.24, -0.18], [0.0, -0.24], [-0.4, -0.12], [-0.7, 0.06], [-0.2, 0.15], [0.18, 0.06]]
    )
    wing = rotate(wing, tilt, (0.2, -0.08))
    canvas.fill(wing, wing_coat)
    canvas.stroke(np.concatenate([wing, wing[:1]]), shade(wing_coat, 0.5), 0.03)

    canvas.marking = False
    places = dict(
        head=head + rotate(np.array([[0.25, -0.1]]), nod)[0],
        body=(0.0, 0.1),
        tail=rotate(np.array([[-0.3, 0.0]]), swing)[0] + (-0.46, 0.05),
    )
    regions = {region: canvas.position(place) for region, place in places.items()}
    if rng.random() < 0.35:
        paint_sprigs(canvas, rng, season, 1)
    return Drawing(canvas.finish(rng, light), canvas.box(), regions, canvas.scale)
