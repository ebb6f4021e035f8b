"""The cluttered scenes that the demo pictures play in."""

from itertools import product

import numpy as np

from .canvas import RGB, Canvas, oval, rotate, shade, smooth

_SKIES = {  # top and bottom RGB of the vertical gradient
    'sky': ((126, 182, 226), (222, 236, 244)),
    'meadow': ((168, 208, 222), (196, 214, 142)),
    'forest': ((74, 112, 88), (150, 172, 118)),
    'dusk': ((118, 98, 150), (246, 192, 148)),
    'lake': ((176, 208, 224), (98, 150, 178)),
}
_FOLIAGE = {
    'spring': ((74, 128, 66), (112, 152, 62), (150, 166, 74), (88, 148, 104), (58, 104, 84)),
    'autumn': ((188, 140, 62), (176, 98, 52), (150, 116, 58), (204, 168, 84), (128, 74, 52)),
}
_BLOSSOM = {
    'spring': ((240, 236, 226), (196, 134, 196), (244, 170, 190), (244, 202, 88), (150, 170, 230)),
    'autumn': ((206, 52, 48), (228, 98, 60), (120, 40, 60), (232, 150, 82), (60, 44, 80)),
}
HABITATS = tuple(product(_SKIES, _FOLIAGE))
"""Pairs of a sky and a season; they give a scene its colours and its blossoms or berries."""

_BLADE = smooth([[0, 0], [0.4, -0.22], [1, 0], [0.4, 0.22]], steps=4)


def _leaf(canvas: Canvas, stem: np.ndarray, angle: float, length: float, colour: RGB) -> None:
    canvas.fill(rotate(_BLADE * length, angle) + stem, colour)
    canvas.stroke(rotate([[0, 0], [0.9 * length, 0]], angle) + stem, shade(colour, 0.8), 0.012)


def paint_scene(
    canvas: Canvas,
    rng: np.random.Generator,
    habitat: tuple[str, str],
    clutter: float = 1.0,
) -> None:
    """Fill the canvas with a random landscape of a habitat, one of ``HABITATS``.

    ``clutter`` scales how many things stand in it.
    """
    aspect = canvas.size[0] / canvas.size[1]
    canvas.place_middle()
    scene, season = habitat
    foliage = _FOLIAGE[season]
    top, bottom = (np.asarray(c) + rng.normal(0, 10, 3) for c in _SKIES[scene])
    ramp = np.linspace(0, 1, canvas.image.shape[0])[:, None]
    sky = np.clip(top * (1 - ramp) + bottom * ramp, 0, 255).astype(np.uint8)  # (H, 3)
    canvas.image[:] = sky[:, None]
    if scene in ('sky', 'dusk', 'lake'):
        canvas.fill(oval(rng.uniform((-aspect, -0.9), (aspect, -0.3)), (0.2, 0.2)), (250, 236, 180))
    for level in (0.25, 0.5, 0.75):  # far to near: hills, tree tops or waves
        x = np.linspace(-aspect, aspect, 24)
        phase, waves = rng.uniform(0, 6.3), rng.uniform(1.2, 4)
        y = level + rng.uniform(-0.2, 0.2) + 0.12 * np.sin(waves * x + phase)
        ridge = np.concatenate([np.stack([x, y], 1), [[aspect, 1.1], [-aspect, 1.1]]])
        tone = bottom if scene == 'lake' else np.asarray(foliage[rng.integers(5)])
        mixed = tone * (0.4 + 0.5 * level) + (top + bottom) / 2 * (0.5 - 0.4 * level)
        canvas.fill(ridge, shade(tuple(mixed), rng.uniform(0.85, 1.1)))
    for _ in range(rng.poisson(6 * clutter)):  # soft bushes or clouds
        colour = (240, 244, 246) if scene == 'sky' else foliage[rng.integers(5)]
        spot = rng.uniform((-aspect, -1), (aspect, 1 if scene != 'sky' else 0))
        for shift in rng.normal(0, 0.13, (4, 2)):
            radius = rng.uniform(0.07, 0.17)
            canvas.fill(oval(spot + shift, (radius, radius * 0.8), count=20), colour)
    for _ in range(rng.poisson(16 * clutter)):  # grass
        foot = np.array([rng.uniform(-aspect, aspect), 1.05])
        tip = foot + (rng.normal(0, 0.15), -rng.uniform(0.2, 0.7))
        middle = (foot + tip) / 2 + (rng.normal(0, 0.05), 0)
        colour = shade(foliage[rng.integers(5)], rng.uniform(0.7, 1.2))
        blade = smooth([foot, middle, tip], closed=False, steps=4)
        canvas.stroke(blade, colour, rng.uniform(0.015, 0.04))
    paint_sprigs(canvas, rng, season, rng.poisson(4 * clutter))


def paint_sprigs(canvas: Canvas, rng: np.random.Generator, season: str, count: int) -> None:
    """Scatter ``count`` twigs with leaves, berries or blossoms over the whole picture."""
    aspect = canvas.size[0] / canvas.size[1]
    canvas.place_middle()
    for _ in range(count):
        start = rng.uniform((-aspect, -1), (aspect, 1))
        angle, length = rng.uniform(0, 6.3), rng.uniform(0.3, 0.8)
        bent = rotate([[0, 0], [0.5, rng.uniform(-0.2, 0.2)], [1, 0]], angle) * length + start
        twig = smooth(bent, closed=False)
        canvas.stroke(twig, (104, 80, 58), 0.03)
        colour = shade(_FOLIAGE[season][rng.integers(5)], rng.uniform(0.75, 1.25))
        bloom, blossoms = _BLOSSOM[season][rng.integers(5)], rng.random() < 0.4
        for spot in twig[2::4]:
            if blossoms and rng.random() < 0.6:
                canvas.fill(oval(spot + rng.normal(0, 0.03, 2), (0.05, 0.05), count=12), bloom)
            else:
                _leaf(canvas, spot, angle + rng.choice((-1, 1)) * rng.uniform(0.4, 1), 0.2, colour)
