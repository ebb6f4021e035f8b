"""What the command ``show`` runs: arguments -> sections -> one page."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import parse_arguments
from .embedding_map import LIMIT, embedding_map
from .shown import common_folder, relative, sample

if TYPE_CHECKING:
    from .page import Section, Shown

SIZE_LIMIT = 50e6


def main(argv: list[str] | None = None) -> None:
    """Write a page: ``show [CONFIG [CHECKPOINT]] --out page.html [options]``."""
    args = parse_arguments(argv)
    from dva_mm.files import replace_atomically

    from .page import make_page

    sections, title = [], 'Retrieval'
    curves = curves_sections(args.curves) if args.curves else []  # the quick ones fail first
    if args.index:
        sections += index_sections(args)
        title = f'Index {Path(args.index).name}'
    if args.config:
        from .model_run import model_sections

        sections += model_sections(args)
        title = Path(args.config).stem
    page = make_page(title, [*sections, *curves])
    with replace_atomically(args.out) as partial:
        partial.write_text(page, encoding='utf-8')
    size = len(page.encode())
    print(f'page: {args.out} ({size / 1e6:.1f} MB)')
    if size > SIZE_LIMIT:
        print('that is much for a browser: lower --queries or --topk')


def curves_sections(work_dirs: Sequence[str]) -> list['Section']:
    """The loss terms and the metrics of some runs.

    Args:
        work_dirs: One a run.

    Raises:
        FileNotFoundError: If one of them holds no scalars.
    """
    from .curves import draw_curves, read_scalars
    from .page import pictures_section

    runs = [
        (Path(work_dir).name or str(work_dir), read_scalars(work_dir)) for work_dir in work_dirs
    ]
    names = ', '.join(name for name, _ in runs)
    rows = []
    for title, part, steps in (('Losses', 0, 'iteration'), ('Metrics', 1, 'epoch')):
        chosen = [(name, scalars[part]) for name, scalars in runs if scalars[part]]
        if chosen:
            rows.append((title, [(draw_curves(chosen, steps), f'{title} of {names}')]))
    return [pictures_section(rows, 'Curves', wide=True)]


def index_sections(args: argparse.Namespace) -> list['Section']:
    """Images of an index, asking for the others; vectors are read block by block, and not held.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If it holds fewer than two images.
    """
    from dva_mm.retrieval import Index

    from .answers import find_answers
    from .page import ranking_section

    with Index.open(args.index, mmap=True) as index:
        if len(index) < 2:
            raise ValueError(f'{args.index} holds {len(index)} images: there is nothing to find')
        storage = index.storage
        labels = storage.labels()
        ids = np.array(list(labels))
        number = {name: place for place, name in enumerate(sorted({*labels.values()} - {None}))}
        classes = np.array([number.get(label, -1) for label in labels.values()])
        chosen = sample(len(ids), args.queries, args.seed)

        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for some, vectors in storage.blocks():
                yield np.searchsorted(ids, some), vectors

        own = classes[chosen]
        vectors = storage.vectors(ids[chosen])
        answers = find_answers('found', vectors, blocks, own, classes, args.topk, chosen)
        used = {*chosen, *(place for hits in answers.hits for place in hits)}
        images = _shown(storage, ids, sorted(used))
        text = f'{len(ids):,} images of {args.index}; {len(chosen):,} of them ask for the others.'
        sections = [
            ranking_section(images, chosen, [answers], title='Images and their like', text=text)
        ]
        if args.map:
            points = sample(len(ids), LIMIT, args.seed)
            images = list(_shown(storage, ids, points).values())
            vectors = storage.vectors(ids[points])
            sections.append(embedding_map(images, vectors, args.seed, total=len(ids)))
    return sections


def _shown(storage: Any, ids: np.ndarray, places: list[int]) -> dict[int, 'Shown']:
    """The images at some places of an index."""
    from .page import Shown

    found = storage.items(ids[places])
    items = {place: found[int(ids[place])] for place in places}
    folder = common_folder([item.path for item in items.values() if item.path])
    return {
        place: Shown(item.path, relative(item.path, folder) or f'image {item.id}', item.label)
        for place, item in items.items()
    }
