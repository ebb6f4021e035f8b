"""Made things: draw one of a variant into the unit coordinates of a canvas."""

import numpy as np

from dva_mm.demo.canvas import Canvas, oval, paint_pattern, shade, smooth

from .paint import Paint, box


def cup(canvas: Canvas, surface: str, paint: Paint) -> None:
    ring = oval((0.52, -0.02), (0.26, 0.28))
    canvas.stroke(np.concatenate([ring, ring[:1]]), paint.edge, 0.13)
    canvas.stroke(np.concatenate([ring, ring[:1]]), paint.main, 0.08)
    side = np.array([[-0.5, -0.5], [0.5, -0.5], [0.4, 0.55], [-0.4, 0.55]])
    canvas.fill(side, paint.main, paint.edge)
    paint_pattern(canvas, side * 0.86, surface, paint.ink, paint.step)
    canvas.fill(oval((0, -0.5), (0.5, 0.1)), shade(paint.main, 0.7), paint.edge)


def house(canvas: Canvas, roof: str, paint: Paint) -> None:
    top = {
        'gable': np.array([[-0.7, -0.1], [0, -0.7], [0.7, -0.1]]),
        'flat': box(-0.68, -0.28, 0.68, -0.1),
        'dome': oval((0, -0.1), (0.6, 0.5)),
        'stepped': np.array(
            [[-0.6, -0.1], [-0.6, -0.35], [-0.2, -0.35], [-0.2, -0.6]]
            + [[0.2, -0.6], [0.2, -0.35], [0.6, -0.35], [0.6, -0.1]]
        ),
    }
    canvas.fill(top[roof], paint.other, paint.edge)
    canvas.fill(box(-0.58, -0.1, 0.58, 0.6), paint.main, paint.edge)
    canvas.fill(box(-0.1, 0.2, 0.14, 0.6), paint.ink, paint.edge)
    for x in (-0.45, 0.26):
        canvas.fill(box(x, 0.06, x + 0.2, 0.28), (236, 230, 186), paint.edge)


def car(canvas: Canvas, body: str, paint: Paint) -> None:
    cabin = {
        'saloon': [[-0.5, -0.05], [-0.3, -0.42], [0.3, -0.42], [0.5, -0.05]],
        'bus': [[-0.85, -0.05], [-0.85, -0.55], [0.8, -0.55], [0.85, -0.05]],
        'pickup': [[0, -0.05], [0.05, -0.45], [0.42, -0.45], [0.55, -0.05]],
        'beetle': oval((0, 0), (0.7, 0.5)),
    }[body]
    canvas.fill(np.asarray(cabin, dtype=float), paint.main, paint.edge)
    canvas.fill(box(-0.88, -0.06, 0.9, 0.3), paint.main, paint.edge)
    canvas.fill(box(0.1, -0.34, 0.32, -0.1), (206, 226, 236), paint.edge)
    for x in (-0.48, 0.48):
        canvas.fill(oval((x, 0.3), (0.2, 0.2)), (44, 42, 46))
        canvas.fill(oval((x, 0.3), (0.09, 0.09)), paint.other)


def boat(canvas: Canvas, rig: str, paint: Paint) -> None:
    canvas.stroke(np.array([[0, 0.2], [0, -0.85]]), paint.edge, 0.05)
    if rig in ('sail', 'two_sails'):
        canvas.fill(np.array([[0.06, -0.85], [0.62, 0.1], [0.06, 0.1]]), paint.other, paint.edge)
    if rig == 'two_sails':
        canvas.fill(np.array([[-0.06, -0.7], [-0.5, 0.1], [-0.06, 0.1]]), paint.other, paint.edge)
    if rig == 'funnel':
        canvas.fill(box(-0.4, -0.15, 0.4, 0.2), (238, 234, 226), paint.edge)
        canvas.fill(box(-0.16, -0.6, 0.16, -0.15), paint.other, paint.edge)
    if rig == 'flag':
        canvas.fill(box(0.02, -0.85, 0.42, -0.55), paint.other, paint.edge)
    hull = np.array([[-0.8, 0.2], [0.85, 0.2], [0.55, 0.6], [-0.55, 0.6]])
    canvas.fill(hull, paint.main, paint.edge)


def hat(canvas: Canvas, crown: str, paint: Paint) -> None:
    shape = {
        'cone': np.array([[-0.42, 0.2], [0.1, -0.9], [0.42, 0.2]]),
        'tall': box(-0.4, -0.7, 0.4, 0.2),
        'round': oval((0, 0.1), (0.45, 0.45)),
        'feather': oval((0, 0.1), (0.45, 0.38)),
    }[crown]
    if crown == 'feather':
        plume = smooth([[0.25, 0], [0.3, -0.5], [-0.1, -0.95], [0.1, -0.4]])
        canvas.fill(plume, paint.ink, paint.edge)
    canvas.fill(shape, paint.main, paint.edge)
    canvas.fill(oval((0, 0.25), (0.8, 0.15)), paint.main, paint.edge)
    canvas.fill(box(-0.4, 0.02, 0.4, 0.16), paint.other)


def tool(canvas: Canvas, end: str, paint: Paint) -> None:
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
