"""A small antialiased drawing surface for the demo pictures.

Shapes are polygons in *unit* coordinates (x right, y down; the drawn object is about two units
long). The canvas maps them to pixels, draws at twice the final resolution and averages down.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

SUPERSAMPLE = 2

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
