"""Colours and small shapes that the drawn objects share."""

from typing import NamedTuple

import numpy as np

from dva_mm.demo.canvas import RGB, Canvas, oval


class Paint(NamedTuple):
    """Colours of one picture: two main ones, marks, outlines; and the marks' distance in units."""

    main: RGB
    other: RGB
    ink: RGB
    edge: RGB
    step: float


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def mirror(points: np.ndarray) -> np.ndarray:
    return np.asarray(points) * (-1, 1)


def eye(canvas: Canvas, x: float, y: float, radius: float = 0.06) -> None:
    canvas.fill(oval((x, y), (radius, radius), count=20), (248, 246, 238))
    canvas.fill(oval((x, y), (radius * 0.6, radius * 0.6), count=16), (26, 24, 28))
