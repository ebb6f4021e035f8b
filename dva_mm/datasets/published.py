"""The published counts of the benchmarks against a reading."""

from .protocols import select_side
from .record import Published, Reading


def find_differences(published: Published | None, reading: Reading, protocol: str) -> list[str]:
    """Find where a reading differs from the published counts: totals, and sides of a protocol.

    Args:
        published: The counts of the full archive; None has no differences.
        reading: What was read.
        protocol: 'open' or 'closed'; its two sides are counted.

    Returns:
        A text such as '9 images (published: 10)' for each difference.

    >>> counts = Published('a paper', open_classes=(100, 100), open_images=(5864, 5924))
    >>> find_differences(counts, Reading([], []), 'open')[0]
    '0 classes (published: 200)'
    """
    sides = find_side_differences(published, reading, protocol)
    return find_total_differences(published, reading) + sides


def find_total_differences(published: Published | None, reading: Reading) -> list[str]:
    """Find the differences that no protocol changes: classes and images in all.

    >>> find_total_differences(None, Reading([], []))
    []
    """
    if published is None:
        return []
    classes = 'classes', len(reading.classes), published.classes
    return _differences([classes, ('images', len(reading.records), published.images)])


def find_side_differences(
    published: Published | None, reading: Reading, protocol: str
) -> list[str]:
    """Find the differences that lie in the sides of a protocol.

    >>> find_side_differences(None, Reading([], []), 'open')
    []
    """
    if published is None:
        return []
    if protocol == 'open' and published.open_by_lists and reading.train_classes is None:
        return []
    sides = [select_side(reading, protocol, split) for split in ('train', 'test')]
    images = published.open_images if protocol == 'open' else published.closed_images
    counts = []
    for i, name in enumerate(('training', 'test')):
        place = f'on the {protocol}-set {name} side'
        if protocol == 'open':
            labels = {record.label for record in sides[i]}
            counts.append((f'classes {place}', len(labels), published.open_classes[i]))
        if images is not None:
            counts.append((f'images {place}', len(sides[i]), images[i]))
    if published.queries is not None:
        queries = sum(record.is_query is True for record in sides[1])
        counts.append(('queries', queries, published.queries))
    return _differences(counts)


def _differences(counts: list[tuple[str, int, int]]) -> list[str]:
    return [
        f'{found:,} {what} (published: {expected:,})'
        for what, found, expected in counts
        if found != expected
    ]
