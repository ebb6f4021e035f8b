"""The published numbers of the benchmarks, and the check of an archive against them."""

from collections.abc import Sequence
from typing import NamedTuple

from .benchmarks import Reading, Record
from .protocols import select_side

Sides = tuple[int, int]
"""Training side, test side."""


class Published(NamedTuple):
    """What a full official archive holds."""

    name: str
    """The data set's name."""
    source: str
    """Where the numbers stand."""
    classes: int
    """Classes in all."""
    images: int
    """Images in all."""
    open_classes: Sides
    """Classes on either side of the open-set protocol."""
    open_images: Sides | None = None
    """Images on either side of it; None where no source is known to confirm them."""
    closed_images: Sides | None = None
    """Images on either side of the official closed-set split; None where there is none."""
    open_by_lists: bool = False
    """The open-set numbers are those of optional lists (``Reading.train_classes``)."""
    queries: int | None = None
    """Queries on the test side; None where each test image is a query to the others."""


PUBLISHED: dict[str, Published] = {
    'cub': Published(
        name='CUB-200-2011',
        source='Wah et al., CNS-TR-2011-001; open-set: Song et al., arXiv:1511.06452',
        classes=200,
        images=11788,
        open_classes=(100, 100),
        open_images=(5864, 5924),
        closed_images=(5994, 5794),
    ),
    'cars': Published(
        name='Stanford Cars',
        source='Krause et al., 3dRR 2013; open-set: Song et al., arXiv:1511.06452',
        classes=196,
        images=16185,
        open_classes=(98, 98),
        open_images=(8054, 8131),
        closed_images=(8144, 8041),
    ),
    'dogs': Published(
        name='Stanford Dogs',
        source='Khosla et al., FGVC 2011',
        classes=120,
        images=20580,
        open_classes=(60, 60),
        closed_images=(12000, 8580),
    ),
    'aircraft': Published(
        name='FGVC-Aircraft',
        source='Maji et al., arXiv:1306.5151 (release 2013b: 100 images of each variant)',
        classes=100,
        images=10000,
        open_classes=(50, 50),
        open_images=(5000, 5000),
        closed_images=(6667, 3333),
    ),
    'nabirds': Published(
        name='NABirds',
        source='Van Horn et al., CVPR 2015',
        classes=555,
        images=48562,
        open_classes=(255, 300),
        closed_images=(23929, 24633),
    ),
    'flowers': Published(
        name='Oxford Flowers-102',
        source='Nilsback and Zisserman, ICVGIP 2008',
        classes=102,
        images=8189,
        open_classes=(51, 51),
        closed_images=(2040, 6149),
    ),
    'pets': Published(
        name='Oxford-IIIT Pets',
        source='Parkhi et al., CVPR 2012, and the lists of the archive',
        classes=37,
        images=7349,
        open_classes=(18, 19),
        closed_images=(3680, 3669),
    ),
    'sop': Published(
        name='Stanford Online Products',
        source='Song et al., arXiv:1511.06452',
        classes=22634,
        images=120053,
        open_classes=(11318, 11316),
        open_images=(59551, 60502),
    ),
    'inshop': Published(
        name='In-Shop Clothes Retrieval',
        source='Liu et al., CVPR 2016',
        classes=7982,
        images=52712,
        open_classes=(3997, 3985),
        open_images=(25882, 26830),
        queries=14218,
    ),
    'inaturalist2018': Published(
        name='iNaturalist 2018',
        source='its competition page; open-set: Brown et al., arXiv:2007.12163',
        classes=8142,
        images=461939,
        open_classes=(5690, 2452),
        open_images=(325846, 136093),
        open_by_lists=True,
        closed_images=(437513, 24426),
    ),
}
"""Numbers by the name of the reader; data of one's own have none."""


def find_differences(reader: str, reading: Reading, protocol: str) -> list[str]:
    """What a reading has otherwise than published: its totals, and the sides of a protocol.

    Args:
        reader: Name of the reader; one without published numbers differs in nothing.
        reading: What it read.
        protocol: 'open' or 'closed'; its two sides are counted.

    Returns:
        A text such as '5,863 images on the open-set training side (published: 5,864)' for each
        difference.
    """
    totals = find_total_differences(reader, reading)
    return totals + find_side_differences(reader, reading, protocol)


def find_total_differences(reader: str, reading: Reading) -> list[str]:
    """The part of :func:`find_differences` that no protocol changes: classes and images in all."""
    if reader not in PUBLISHED:
        return []
    published = PUBLISHED[reader]
    return _differences(
        [
            ('classes', len(reading.classes), published.classes),
            ('images', len(reading.records), published.images),
        ]
    )


def find_side_differences(reader: str, reading: Reading, protocol: str) -> list[str]:
    """The part of :func:`find_differences` that lies in the sides of a protocol."""
    if reader not in PUBLISHED:
        return []
    published = PUBLISHED[reader]
    if protocol == 'open' and published.open_by_lists and reading.train_classes is None:
        return []
    sides = [select_side(reading, protocol, split) for split in ('train', 'test')]
    counts = []
    images = published.open_images if protocol == 'open' else published.closed_images
    for i, name in enumerate(('training', 'test')):
        place = f'on the {protocol}-set {name} side'
        if protocol == 'open':
            expected = published.open_classes[i]
            counts.append((f'classes {place}', _count_classes(sides[i]), expected))
        if images is not None:
            counts.append((f'images {place}', len(sides[i]), images[i]))
    if published.queries is not None:
        queries = sum(record.is_query is True for record in sides[1])
        counts.append(('queries', queries, published.queries))
    return _differences(counts)


def _differences(counts: Sequence[tuple[str, int, int]]) -> list[str]:
    return [
        f'{found:,} {what} (published: {expected:,})'
        for what, found, expected in counts
        if found != expected
    ]


def _count_classes(records: Sequence[Record]) -> int:
    return len({record.label for record in records})
