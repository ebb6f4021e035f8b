"""A picture of many boxes at once, so that a person can judge them in a minute."""

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from dva_mm.datasets.box_file import BoxEntry, image_root
from dva_mm.datasets.image import read_image

from .summary import is_object

FOUND, MISSING = (255, 32, 32), (32, 96, 255)


def choose_entries(
    entries: Sequence[BoxEntry], count: int, order: str = 'worst', seed: int = 0
) -> list[BoxEntry]:
    """At most ``count`` entries, the 'worst' scores first (then by paths) or at 'random'.

    Raises:
        ValueError: If ``order`` is unknown, or ``count`` not positive.

    >>> entries = [BoxEntry(n, 9, 9, 0, 0, 5, 5, s, 'x') for n, s in (('a', 0.9), ('b', 0.1))]
    >>> [entry.image for entry in choose_entries(entries, count=1)]
    ['b']
    """
    if count < 1:
        raise ValueError(f'a contact sheet needs at least one image, got count {count}')
    if order == 'random':
        return random.Random(seed).sample(list(entries), min(count, len(entries)))
    if order != 'worst':
        raise ValueError(f"order must be 'worst' or 'random', got {order!r}")
    return sorted(entries, key=lambda entry: (entry.score, entry.image))[:count]


def contact_sheet(
    entries: Sequence[BoxEntry], data_root: str | Path, columns: int = 10, tile: int = 160
) -> Image.Image:
    """Each image with its box, red, or blue where it is no object's; score and file name below.

    A row has so many ``columns``; a ``tile`` is the longer side of an image, in pixels.
    """
    gap, text = 6, 26
    columns = min(columns, len(entries))
    rows = -(-len(entries) // columns)
    size = columns * (tile + gap) + gap, rows * (tile + text + gap) + gap
    sheet = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(sheet)
    for number, entry in enumerate(entries):
        left = gap + number % columns * (tile + gap)
        top = gap + number // columns * (tile + text + gap)
        shown = Image.fromarray(read_image(image_root(data_root) / entry.image)[..., ::-1])
        scale = tile / max(shown.size)
        shown = shown.resize([max(1, round(side * scale)) for side in shown.size])
        sheet.paste(shown, (left, top))
        x1, y1, x2, y2 = (round(value * scale) for value in entry.box)
        frame = left + x1, top + y1, left + max(x1, x2 - 1), top + max(y1, y2 - 1)
        draw.rectangle(frame, outline=FOUND if is_object(entry) else MISSING, width=2)
        name = Path(entry.image).stem[-18:]
        draw.text((left, top + tile), f'{entry.score:.3f} {entry.source}', fill='black')
        draw.text((left, top + tile + 12), name, fill=(96, 96, 96))
    return sheet
