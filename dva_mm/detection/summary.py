"""What a file of boxes holds, in a few lines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dva_mm.datasets.box_file import FALLBACK, BoxEntry
from dva_mm.datasets.record import Record

from .sources.annotation import AnnotationBoxes

WHOLE = 0.95
"""A box over at least this share of its image singles nothing out: it counts as no object."""

MISSED = 0.3
"""A box that holds less than this share of its object's area misses it."""


class Agreement(NamedTuple):
    """How boxes agree with those that the data set has itself.

    >>> str(Agreement(200, iou=0.5, missed=0.02))
    "beside the data set's own 200 boxes: mean IoU 0.50, 2.0% hold less than 30% of their object"
    """

    count: int  # Images that have both; fallbacks are left out
    iou: float  # Mean intersection over union
    missed: float  # Share of the boxes that hold less than ``MISSED`` of the data set's box

    def __str__(self) -> str:
        """One line."""
        return (
            f"beside the data set's own {self.count} boxes: mean IoU {self.iou:.2f}, "
            f'{self.missed:.1%} hold less than {MISSED:.0%} of their object'
        )


def agreement(
    entries: Sequence[BoxEntry], records: Sequence[Record], root: Path
) -> Agreement | None:
    """Compare the boxes that were found with the data set's own; None where no image has both.

    Args:
        entries: What was found; fallbacks do not count.
        records: Images of the data set, with their boxes. Of several boxes of an image the largest
            counts, cut off at the image's edges.
        root: The folder that the entries' paths lie below.

    >>> entry = BoxEntry('a.jpg', 20, 10, 0, 0, 10, 10, 0.5, 'attention')
    >>> agreement([entry], [Record('/data/a.jpg', 0, True, (0, 0, 10, 5))], Path('/data'))
    Agreement(count=1, iou=0.5, missed=0.0)
    """
    entries = [entry for entry in entries if entry.source != FALLBACK]
    sizes = [(entry.width, entry.height) for entry in entries]
    own = AnnotationBoxes(records).detect([str(root / entry.image) for entry in entries], sizes)
    both = [
        (entry.box, each.box, size * 2)
        for entry, each, size in zip(entries, own, sizes, strict=True)
        if each
    ]
    if not both:
        return None
    found, true, edges = (np.array(side, dtype=float) for side in zip(*both, strict=True))
    true = true.clip(0, edges)
    low, high = np.maximum(found[:, :2], true[:, :2]), np.minimum(found[:, 2:], true[:, 2:])
    shared = np.prod((high - low).clip(min=0), axis=1)
    area, own_area = (np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (found, true))
    iou = shared / (area + own_area - shared)
    return Agreement(len(both), float(iou.mean()), float((shared / own_area < MISSED).mean()))


def covered(entry: BoxEntry) -> float:
    """The box's share of its image's area.

    >>> covered(BoxEntry('a.jpg', 20, 10, 0, 0, 10, 10, 0.5, 'attention'))
    0.5
    """
    return (entry.x2 - entry.x1) * (entry.y2 - entry.y1) / (entry.width * entry.height)


def is_object(entry: BoxEntry) -> bool:
    """Whether a box was found, and covers less than 0.95 of its image.

    >>> is_object(BoxEntry('a.jpg', 20, 10, 0, 0, 20, 10, 0.5, 'attention'))
    False
    """
    return entry.source != FALLBACK and covered(entry) < WHOLE


def summary(entries: Sequence[BoxEntry]) -> str:
    """Numbers of objects, whole images and fallbacks; quartiles of the objects' scores and areas.

    >>> print(summary([BoxEntry('a.jpg', 20, 10, 0, 0, 10, 10, 0.5, 'attention')]))
    1 images: 1 attention
    score: median 0.500, middle half 0.500 to 0.500
    box / image area: median 0.500, middle half 0.500 to 0.500
    """
    whole = f'whole image (a box over at least {WHOLE:.0%} of it: no object)'
    kinds = Counter(
        entry.source if is_object(entry) or entry.source == FALLBACK else whole for entry in entries
    )
    lines = [f'{len(entries)} images: ' + ', '.join(f'{n} {k}' for k, n in kinds.most_common())]
    objects = [entry for entry in entries if is_object(entry)]
    scores, areas = [entry.score for entry in objects], [covered(entry) for entry in objects]
    for name, values in (('score', scores), ('box / image area', areas)):
        if values:
            values = sorted(values)
            low, middle, high = (values[round(q * (len(values) - 1))] for q in (0.25, 0.5, 0.75))
            lines.append(f'{name}: median {middle:.3f}, middle half {low:.3f} to {high:.3f}')
    return '\n'.join(lines)
