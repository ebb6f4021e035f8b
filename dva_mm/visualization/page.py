"""One self-contained HTML page of retrieval results: no network, thumbnails inside."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .parts import Answers, Section, Shown
from .thumbnails import thumbnail, thumbnails

if TYPE_CHECKING:
    from dva_mm.retrieval import Hit

TEMPLATES = Path(__file__).parent / 'templates'


def make_page(title: str, sections: Sequence[Section]) -> str:
    """The HTML of a page. All names in it are text, whatever they hold.

    Args:
        title: Heading of the page.
        sections: Its parts, in order.

    >>> '<script>alert' in make_page('<script>alert(1)</script>', [])
    False
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    shared: dict[str, int] = {}  # sections that show the same image hold it once
    shown = []
    for section in sections:
        data = dict(section.data)
        if 'images' in data:
            data['images'] = [
                [name, label, None if source is None else shared.setdefault(source, len(shared))]
                for name, label, source in data['images']
            ]
        shown.append(section._replace(data=data))
    script = (TEMPLATES / 'page.js').read_text(encoding='utf-8')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template('page.html').render(
        title=title,
        sections=shown,
        sources=list(shared),
        script=Markup(script),
        script_hash=f'sha256-{digest}',
    )
    # Names that are no UTF-8 hold lone surrogates, which no file can.
    return page.encode('utf-8', 'backslashreplace').decode()


def ranking_section(
    images: Sequence[Shown] | Mapping[int, Shown],
    queries: Sequence[int],
    answers: Sequence[Answers],
    ks: Sequence[int] = (1, 2, 4, 8),
    title: str = 'Queries and what they find',
    text: str = '',
) -> Section:
    """Queries with their answers, right and wrong told apart, filters, classes and confusions.

    Args:
        images: Queries and gallery, by place; those that nothing shows get no thumbnail, and may
            be missing.
        queries: Places of the Q queries among them.
        answers: One entry a model, the one of interest last.
        ks: Cut-offs of the Recall@K. Defaults to (1, 2, 4, 8).
        title: Heading. Defaults to 'Queries and what they find'.
        text: Paragraph below it. Defaults to ''.

    Raises:
        ValueError: If a model answers another number of queries.

    >>> images = [Shown(None, 'a.jpg', 'owl'), Shown(None, 'b.jpg', 'owl')]
    >>> ranking_section(images, [0], [Answers('ICA', [[1]], [[0.9]])]).data['rows'][0]['first']
    [1]
    """
    for row in answers:
        if len(row.hits) != len(queries):
            raise ValueError(f'{row.name} answers {len(row.hits)} of {len(queries)} queries')
    queries = [int(query) for query in queries]
    used = dict.fromkeys(queries)
    for row in answers:
        used.update(dict.fromkeys(int(hit) for hits in row.hits for hit in hits))
    place = {image: number for number, image in enumerate(used)}
    data = _images([images[image] for image in used])
    labels = [image[1] for image in data['images']]
    data['queries'] = [place[query] for query in queries]
    data['ks'] = [int(k) for k in ks]
    data['rows'] = []
    for row in answers:
        hits = [[place[int(hit)] for hit in hits] for hits in row.hits]
        first = row.first
        if first is None:
            asked = [labels[query] for query in data['queries']]
            found = [[labels[hit] for hit in answer] for answer in hits]
            first = [_first_right(*pair) for pair in zip(asked, found, strict=True)]
        scores = [[round(float(score), 4) for score in scores] for scores in row.scores]
        first = [None if rank is None else int(rank) for rank in first]
        data['rows'].append(dict(name=row.name, hits=hits, scores=scores, first=first))
    return Section('ranking', title, text, data)


def _first_right(label: int, found: list[int]) -> int | None:
    if label < 0 or any(other < 0 for other in found):
        return None
    return found.index(label) + 1 if label in found else len(found) + 1


def map_section(
    images: Sequence[Shown],
    points: np.ndarray,
    title: str = 'Map of the embeddings',
    text: str = '',
) -> Section:
    """Images as points of a plane, one colour a class, with thumbnails on hover.

    Args:
        images: N of them.
        points: (N, 2), in any unit.
        title: Heading. Defaults to 'Map of the embeddings'.
        text: Paragraph below it. Defaults to ''.

    >>> map_section([Shown(None, 'a'), Shown(None, 'b')], np.array([[2, 3], [4, 3]])).data['points']
    [[0.0, 0.0], [1.0, 0.0]]
    """
    points = np.asarray(points, dtype=np.float64)
    points = points - points.min(axis=0)
    points = points / np.where(points.max(axis=0) > 0, points.max(axis=0), 1)
    return Section('map', title, text, dict(_images(images), points=points.round(4).tolist()))


def pictures_section(
    rows: Iterable[tuple[str, Sequence[tuple[Any, str]]]],
    title: str,
    text: str = '',
    side: int = 150,
    wide: bool = False,
) -> Section:
    """Rows of pictures with captions.

    Args:
        rows: Name of each row and its pictures, (image, caption): as in :class:`Shown`, or a data
            URI.
        title: Heading.
        text: Paragraph below it. Defaults to ''.
        side: Longest side of a picture in pixels. Defaults to 150.
        wide: Show pictures as wide as the page allows. Defaults to False.

    >>> pictures_section([('bird', [(None, 'gone')])], 'Views').data['rows'][0]['cells']
    [{'src': None, 'caption': 'gone'}]
    """

    def source(image: Any) -> str | None:
        is_uri = isinstance(image, str) and image.startswith('data:')
        return image if is_uri else thumbnail(image, side)

    made = [
        dict(name=name, cells=[dict(src=source(image), caption=text) for image, text in cells])
        for name, cells in rows
    ]
    return Section('pictures', title, text, dict(rows=made, wide=wide))


def _images(images: Sequence[Shown]) -> dict[str, list]:
    """Classes by name, and of each image its name, the place of its class or -1, its thumbnail."""
    classes = sorted({image.label for image in images if image.label is not None})
    number = {name: place for place, name in enumerate(classes)}
    sources = thumbnails([image.image for image in images])
    rows = [
        [image.name, number.get(image.label, -1), source]
        for image, source in zip(images, sources, strict=True)
    ]
    return dict(classes=classes, images=rows)


def ranking_page(
    images: Sequence[Shown],
    queries: Sequence[int],
    answers: Sequence[Answers],
    title: str = 'Retrieval results',
    **options: Any,
) -> str:
    """A page of one :func:`ranking_section`.

    >>> 'owl' in ranking_page([Shown(None, 'a.jpg', 'owl')], [0], [Answers('ICA', [[]], [[]])])
    True
    """
    return make_page(title, [ranking_section(images, queries, answers, **options)])


def hits_page(
    queries: Any, hits: Sequence['Hit'] | Sequence[Sequence['Hit']], title: str = 'Search results'
) -> str:
    """A page of what :meth:`Index.search` answers.

    Args:
        queries: What was asked: one path, PIL image or array, or a list of them.
        hits: The answers to it: a list of hits, or one for each query of a list.
        title: Heading. Defaults to 'Search results'.

    >>> 'query.jpg' in hits_page('query.jpg', [])
    True
    """
    if not isinstance(queries, list | tuple):
        queries, hits = [queries], [hits]
    images = [
        Shown(query, str(query))
        if isinstance(query, str | Path)
        else Shown(query if isinstance(query, Image.Image | np.ndarray) else None, f'query {place}')
        for place, query in enumerate(queries, start=1)
    ]
    place: dict[int, int] = {}
    for hit in (hit for answer in hits for hit in answer):
        if hit.id not in place:
            place[hit.id] = len(images)
            images.append(Shown(hit.path, hit.path or f'image {hit.id}', hit.label))
    rows = [[place[hit.id] for hit in answer] for answer in hits]
    scores = [[hit.score for hit in answer] for answer in hits]
    return ranking_page(images, range(len(queries)), [Answers('found', rows, scores)], title)
