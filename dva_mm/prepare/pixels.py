"""The pixels of a planted picture: scene, distractors, object."""

import cv2
import numpy as np

from dva_mm.datasets.box_file import Box
from dva_mm.datasets.image import read_image
from dva_mm.datasets.record import Record

from .plans import Knobs, Plan

TRIES = 20  # places of a distractor, to find one beside the object


def paste(scene: np.ndarray, item: np.ndarray, x: int, y: int, soft: bool = False) -> None:
    """Put an object into a scene, in place.

    Args:
        scene: (H, W, 3) uint8.
        item: (h, w, 3) uint8, inside of the scene.
        x: Column of its left edge.
        y: Row of its upper edge.
        soft: Fade the outer tenth of the object's shorter side into the scene.

    >>> scene = np.zeros((4, 4, 3), np.uint8)
    >>> paste(scene, np.full((2, 2, 3), 9, np.uint8), x=1, y=0)
    >>> int((scene == 9).all(axis=2).sum())
    4
    """
    height, width = item.shape[:2]
    part = scene[y : y + height, x : x + width]
    if not soft:
        part[:] = item
        return
    edge = max(1.0, 0.1 * min(height, width))
    rows, columns = (
        np.clip((np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) / edge, 0, 1)
        for n in (height, width)
    )
    alpha = np.minimum(rows[:, None], columns[None, :])[..., None]
    part[:] = np.round(alpha * item + (1 - alpha) * part).astype(np.uint8)


def draw_picture(plan: Plan, knobs: Knobs) -> tuple[np.ndarray, Box]:
    """The picture of a plan, (H, W, 3) uint8 BGR, and the object's x1, y1, x2, y2 in pixels.

    Distractors lie below the object, and beside it where there is room.
    """
    rng = np.random.default_rng(plan.draw)
    scene = read_image(plan.scene)
    scale = min(1.0, knobs.side / min(scene.shape[:2]))
    scene = _resize(scene, scale) if scale < 1 else scene
    share = rng.uniform(*knobs.size)
    item = _cut(plan.item, share * min(scene.shape[:2]))
    u, v = (0.5, 0.5) if knobs.place == 'center' else rng.random(2)
    x, y = _corner(scene, item, u, v)
    box = x, y, x + item.shape[1], y + item.shape[0]
    for record in plan.others:
        other = _cut(record, rng.uniform(*knobs.size) * min(scene.shape[:2]))
        corners = [_corner(scene, other, *rng.random(2)) for _ in range(TRIES)]
        covered = [
            _overlap(box, (a, b, a + other.shape[1], b + other.shape[0])) for a, b in corners
        ]
        paste(scene, other, *corners[covered.index(min(covered))], knobs.soft)
    paste(scene, item, x, y, knobs.soft)
    return scene, box


def _cut(record: Record, longer: float) -> np.ndarray:
    """The object of an image, its longer side in pixels given."""
    image = read_image(record.path)
    if record.box is not None:
        x1, y1, x2, y2 = (max(0, round(value)) for value in record.box)
        image = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    return _resize(image, longer / max(image.shape[:2]))


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    size = [max(1, round(scale * side)) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=how)


def _corner(scene: np.ndarray, item: np.ndarray, u: float, v: float) -> tuple[int, int]:
    free = [
        outer - inner for outer, inner in zip(scene.shape[1::-1], item.shape[1::-1], strict=True)
    ]
    return round(u * free[0]), round(v * free[1])


def _overlap(a: Box, b: Box) -> float:
    sides = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    return float(np.prod([max(0, side) for side in sides]))
