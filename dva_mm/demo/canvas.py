"""A small antialiased drawing surface and the cluttered scenes the demo pictures play in.

Shapes are polygons in *unit* coordinates (x right, y down; the drawn object is about two units
long). The canvas maps them to pixels, draws at twice the final resolution and averages down.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import cv2
import numpy as np

SUPERSAMPLE = 2
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


Point = tuple[float, float]
RGB = tuple[int, int, int]


def oval(centre: Point, radii: Point, angle: float = 0.0, count: int = 48) -> np.ndarray:
    """Outline of an ellipse turned by ``angle`` radians, as ``(count, 2)`` points."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)], axis=1)
    return rotate(points, angle) + np.asarray(centre)


def rotate(points: np.ndarray, angle: float, centre: Point = (0.0, 0.0)) -> np.ndarray:
    """Turn ``(N, 2)`` points by ``angle`` radians (clockwise on screen) about ``centre``.

    >>> rotate(np.array([[1.0, 0.0]]), np.pi / 2).round(3)
    array([[0., 1.]])
    """
    if angle == 0:
        return np.asarray(points, dtype=np.float64)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    return (np.asarray(points) - centre) @ turn + centre


def smooth(points: np.ndarray, closed: bool = True, steps: int = 8) -> np.ndarray:
    """Catmull-Rom curve through ``(N, 2)`` control points, ``steps`` points a segment."""
    points = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    quads = np.stack([before, start, end, after], axis=1)  # (segments, 4, 2)
    t = np.arange(steps)[:, None] / steps
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    curve = (0.5 * np.concatenate(weights, axis=1) @ quads).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def shade(colour: RGB, factor: float) -> RGB:
    """A colour made darker (``factor`` < 1) or lighter (> 1), clipped to 0-255."""
    return tuple(int(np.clip(channel * factor, 0, 255)) for channel in colour)


class Canvas:
    """An RGB picture of ``size``, (width, height) pixels, that remembers the object's pixels.

    >>> canvas = Canvas((60, 40))
    >>> canvas.marking = True
    >>> canvas.fill(oval((0, 0), (0.5, 0.5)), (250, 0, 0))
    >>> canvas.box()
    (20, 10, 21, 21)
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.marking = size, False
        width, height = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
        self.image = np.zeros((height, width, 3), np.uint8)
        self.mask = np.zeros((height, width), np.uint8)
        self.place_middle()

    def place(self, centre: Point, scale: float, angle: float = 0.0, flip: bool = False) -> None:
        """Put the unit coordinates' origin at ``centre`` (pixels); one unit is ``scale`` pixels."""
        self._centre, self._scale = np.asarray(centre) * SUPERSAMPLE, scale * SUPERSAMPLE
        self._angle, self._flip = angle, flip

    def place_middle(self) -> None:
        """Put the origin in the middle of the picture; one unit is half its height."""
        width, height = self.size
        self.place((width / 2, height / 2), height / 2)

    @property
    def scale(self) -> float:
        """Length of a unit in final pixels."""
        return self._scale / SUPERSAMPLE

    def position(self, point: Point) -> np.ndarray:
        """Where a point in unit coordinates lies, ``(x, y)`` in final pixels."""
        return self._pixels(np.asarray([point]))[0] / 16 / SUPERSAMPLE

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        points = rotate(points, self._angle) * self._scale
        if self._flip:
            points = points * (-1, 1)
        return np.round((points + self._centre) * 16).astype(np.int32)

    def fill(
        self, points: np.ndarray, colour: RGB, edge: RGB | None = None, width: float = 0.03
    ) -> None:
        """Fill a polygon, ``(N, 2)`` units; ``edge`` adds an outline ``width`` units wide."""
        pixels = [self._pixels(points)]
        cv2.fillPoly(self.image, pixels, colour, cv2.LINE_AA, 4)
        if self.marking:
            cv2.fillPoly(self.mask, pixels, 255, cv2.LINE_8, 4)
        if edge is not None:
            self.stroke(np.concatenate([points, points[:1]]), edge, width)

    def stroke(self, points: np.ndarray, colour: RGB, width: float) -> None:
        """Draw an open line through ``(N, 2)`` points, ``width`` units wide."""
        pixels, thickness = [self._pixels(points)], max(1, round(width * self._scale))
        cv2.polylines(self.image, pixels, False, colour, thickness, cv2.LINE_AA, 4)
        if self.marking:
            cv2.polylines(self.mask, pixels, False, 255, thickness, cv2.LINE_8, 4)

    @contextmanager
    def inside(self, points: np.ndarray) -> Iterator[None]:
        """What is drawn in this context stays inside the polygon ``points`` and is not marked."""
        before, outside, marking = self.image.copy(), np.full_like(self.mask, 255), self.marking
        cv2.fillPoly(outside, [self._pixels(points)], 0, cv2.LINE_8, 4)
        self.marking = False
        yield
        self.marking = marking
        cv2.copyTo(before, outside, self.image)

    def box(self) -> tuple[int, int, int, int]:
        """Bounds ``(x, y, w, h)`` in final pixels of everything drawn while ``marking``."""
        rows, columns = (np.flatnonzero(self.mask.any(axis=a)) // SUPERSAMPLE for a in (1, 0))
        left, top, right, bottom = (int(x) for x in (columns[0], rows[0], columns[-1], rows[-1]))
        return left, top, right - left + 1, bottom - top + 1

    def finish(self, rng: np.random.Generator, light: float = 0.0) -> np.ndarray:
        """The picture, ``(H, W, 3)`` uint8 RGB, under a slanting light with a cast and grain.

        ``light``, 0 to 1, is how much brightness and tint vary beyond that.
        """
        width, height = self.size
        image = cv2.resize(self.image, self.size, interpolation=cv2.INTER_AREA).astype(np.float32)
        ramp_x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
        ramp_y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
        slope_x, slope_y = rng.uniform(-0.18, 0.18, 2).astype(np.float32)
        cast = (rng.uniform(0.82, 1.1) * rng.uniform(0.93, 1.07, 3)).astype(np.float32)
        image *= (1 + slope_x * ramp_x + slope_y * ramp_y) * cast
        if light:
            image *= rng.uniform(1 - light, 1 + 0.4 * light)
            image *= rng.uniform(1 - 0.6 * light, 1 + 0.6 * light, 3).astype(np.float32)
        image += rng.normal(0, 2.5, (height, width, 1)).astype(np.float32)
        return np.clip(image, 0, 255).astype(np.uint8)


def paint_pattern(
    canvas: Canvas,
    region: np.ndarray,
    pattern: str,
    colour: RGB,
    step: float,
    angle: float = 0.0,
) -> None:
    """Cover the polygon ``region``, (N, 2) units, with marks ``step`` units apart.

    These are 'spots', 'bars' across ``angle`` (radians), 'streaks' along it, or none: 'plain'.
    """
    if pattern == 'plain':
        return
    centre, reach = region.mean(axis=0), float(np.ptp(region, axis=0).max()) * 0.75
    ticks = np.arange(-reach, reach, step)
    with canvas.inside(region):
        for row, v in enumerate(ticks):
            if pattern == 'bars':
                bar = rotate([[v, -reach], [v, reach]], angle) + centre
                canvas.stroke(bar, colour, step * 0.42)
                continue
            for u in ticks + (row % 2) * step / 2:
                spot = rotate([[u, v]], angle)[0] + centre
                if pattern == 'spots':
                    canvas.fill(oval(spot, (step * 0.26, step * 0.26), count=12), colour)
                else:
                    dash = rotate(np.array([[-0.3, 0.0], [0.3, 0.0]]) * step, angle) + spot
                    canvas.stroke(dash, colour, step * 0.22)


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
