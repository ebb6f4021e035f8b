"""What a file of boxes holds, in a few lines."""

from collections import Counter
from collections.abc import Sequence

from dva_mm.datasets.box_file import FALLBACK, BoxEntry

WHOLE = 0.95
"""A box over at least this share of its image singles nothing out: it counts as no object."""


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
