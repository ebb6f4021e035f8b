"""Living things: draw one of a variant into the unit coordinates of a canvas."""

import numpy as np

from dva_mm.demo.canvas import Canvas, oval, paint_pattern, rotate, smooth

from .paint import Paint, box, eye, mirror


def fish(canvas: Canvas, tail: str, paint: Paint) -> None:
    shapes = {
        'forked': [[-0.5, 0], [-1, -0.4], [-0.8, 0], [-1, 0.4]],
        'round': oval((-0.75, 0), (0.28, 0.3)),
        'pointed': [[-0.5, -0.14], [-1.2, 0], [-0.5, 0.14]],
        'blunt': [[-0.5, -0.08], [-0.95, -0.3], [-0.95, 0.3], [-0.5, 0.08]],
    }
    canvas.fill(np.asarray(shapes[tail], dtype=float), paint.other, paint.edge)
    canvas.fill(oval((0, 0), (0.68, 0.34)), paint.main, paint.edge)
    canvas.fill(smooth([[0.1, 0], [-0.2, -0.08], [-0.25, 0.16]]), paint.other, paint.edge)
    eye(canvas, 0.42, -0.08)


def puffer(canvas: Canvas, surface: str, paint: Paint) -> None:
    canvas.fill(np.array([[-0.45, 0], [-0.85, -0.25], [-0.85, 0.25]]), paint.other, paint.edge)
    body = oval((0, 0), (0.6, 0.52))
    canvas.fill(body, paint.main, paint.edge)
    paint_pattern(canvas, oval((-0.05, 0), (0.5, 0.44)), surface, paint.ink, paint.step)
    eye(canvas, 0.38, -0.14)


def butterfly(canvas: Canvas, surface: str, paint: Paint) -> None:
    upper = smooth([[0.03, 0], [0.25, -0.6], [0.85, -0.65], [0.7, -0.05]])
    lower = smooth([[0.03, 0.02], [0.6, 0.1], [0.55, 0.55], [0.2, 0.5]])
    for wing, colour in ((lower, paint.other), (upper, paint.main)):
        for side in (wing, mirror(wing)):
            canvas.fill(side, colour, paint.edge)
            paint_pattern(canvas, side, surface, paint.ink, paint.step)
    canvas.fill(oval((0, 0), (0.06, 0.4)), paint.edge)
    for feeler in (np.array([[0, -0.35], [0.2, -0.7]]), np.array([[0, -0.35], [-0.2, -0.7]])):
        canvas.stroke(feeler, paint.edge, 0.03)


def flower(canvas: Canvas, petals: str, paint: Paint) -> None:
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


def tree(canvas: Canvas, crown: str, paint: Paint) -> None:
    canvas.fill(box(-0.08, 0, 0.08, 0.9), (112, 84, 60), (66, 50, 38))
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
            canvas.fill(mirror(rotate(frond, turn)), paint.main, paint.edge)
    else:
        for turn in (-1.0, -0.5, 0.0, 0.5, 1.0):
            canvas.stroke(rotate(np.array([[0, 0.1], [0, -0.75]]), turn), (112, 84, 60), 0.06)


def mushroom(canvas: Canvas, surface: str, paint: Paint) -> None:
    stem = smooth([[-0.15, -0.1], [0.15, -0.1], [0.22, 0.7], [-0.22, 0.7]])
    canvas.fill(stem, (238, 228, 206), paint.edge)
    cap = smooth([[-0.75, 0.05], [-0.5, -0.45], [0, -0.65], [0.5, -0.45], [0.75, 0.05], [0, 0.12]])
    canvas.fill(cap, paint.main, paint.edge)
    paint_pattern(canvas, cap, surface, paint.ink, paint.step)


def beetle(canvas: Canvas, surface: str, paint: Paint) -> None:
    for y in (-0.25, 0.05, 0.35):
        canvas.stroke(np.array([[-0.75, y + 0.12], [0, y], [0.75, y + 0.12]]), paint.edge, 0.06)
    canvas.fill(oval((0, -0.52), (0.26, 0.22)), paint.other, paint.edge)
    back = oval((0, 0.1), (0.5, 0.6))
    canvas.fill(back, paint.main, paint.edge)
    paint_pattern(canvas, back * 0.9, surface, paint.ink, paint.step, np.pi / 2)
    canvas.stroke(np.array([[0, -0.45], [0, 0.68]]), paint.edge, 0.03)


def face(canvas: Canvas, ears: str, paint: Paint) -> None:
    ear = {
        'pointed': np.array([[0.1, -0.35], [0.45, -0.85], [0.55, -0.15]]),
        'round': oval((0.42, -0.42), (0.22, 0.22)),
        'long': rotate(oval((0.22, -0.75), (0.12, 0.4)), 0.2),
        'horns': smooth([[0.2, -0.4], [0.65, -0.5], [0.6, -0.95], [0.45, -0.6]]),
    }[ears]
    for side in (ear, mirror(ear)):
        canvas.fill(side, paint.other if ears == 'horns' else paint.main, paint.edge)
    canvas.fill(oval((0, 0), (0.6, 0.5)), paint.main, paint.edge)
    canvas.fill(oval((0, 0.22), (0.26, 0.18)), paint.other)
    canvas.fill(oval((0, 0.14), (0.08, 0.06)), paint.edge)
    for x in (-0.22, 0.22):
        eye(canvas, x, -0.1, 0.09)


def bird(canvas: Canvas, family: str, paint: Paint) -> None:
    if family == 'owl':
        canvas.fill(oval((0, 0.15), (0.45, 0.65)), paint.main, paint.edge)
        for x in (-0.18, 0.18):
            eye(canvas, x, -0.2, 0.17)
    elif family == 'penguin':
        canvas.fill(oval((0, 0.1), (0.4, 0.75)), paint.edge)
        canvas.fill(oval((0.06, 0.25), (0.28, 0.5)), (240, 238, 230))
        eye(canvas, 0.14, -0.42)
    else:
        neck = smooth([[0.35, 0.1], [0.6, -0.2], [0.4, -0.6], [0.65, -0.75]], closed=False)
        if family == 'flamingo':
            canvas.stroke(np.array([[0, 0.2], [0.05, 1]]), paint.edge, 0.05)
        body = oval((0, 0.2), (0.4, 0.22) if family == 'flamingo' else (0.72, 0.32))
        canvas.fill(body, paint.main, paint.edge)
        canvas.stroke(neck, paint.main, 0.15)
        canvas.fill(oval((0.68, -0.74), (0.15, 0.12)), paint.main, paint.edge)
        eye(canvas, 0.7, -0.77)


def snail(canvas: Canvas, surface: str, paint: Paint) -> None:
    foot = smooth([[-0.8, 0.5], [0.2, 0.35], [0.55, -0.2], [0.8, -0.2], [0.7, 0.5]])
    canvas.fill(foot, paint.other, paint.edge)
    canvas.stroke(np.array([[0.7, -0.2], [0.85, -0.5]]), paint.edge, 0.04)
    shell = oval((-0.1, 0.02), (0.48, 0.46))
    canvas.fill(shell, paint.main, paint.edge)
    paint_pattern(canvas, shell, surface, paint.ink, paint.step)
