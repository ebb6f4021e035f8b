"""What the command ``show`` runs: arguments -> sections -> one page."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import parse_arguments
from .embedding_map import embedding_map
from .shown import common_folder, relative, sample

if TYPE_CHECKING:
    from .page import Section

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
    """The images of an index, each asking for the others.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If it holds fewer than two images.
    """
    import numpy as np

    from dva_mm.retrieval import Index

    from .answers import find_answers
    from .page import Shown, ranking_section

    with Index.open(args.index) as index:
        if len(index) < 2:
            raise ValueError(f'{args.index} holds {len(index)} images: there is nothing to find')
        blocks = list(index.storage.blocks())
        ids = np.concatenate([ids for ids, _ in blocks]).tolist()
        vectors = np.concatenate([vectors for _, vectors in blocks])
        items = index.storage.items(ids)
    items = [items[number] for number in ids]
    folder = common_folder([item.path for item in items if item.path])
    images = [
        Shown(item.path, relative(item.path, folder) or f'image {item.id}', item.label)
        for item in items
    ]
    classes = sorted({item.label for item in items if item.label is not None})
    number = {name: place for place, name in enumerate(classes)}
    labels = [number.get(item.label, -1) for item in items]
    chosen = sample(len(items), args.queries, args.seed)
    answers = find_answers(
        'found', vectors[chosen], vectors, [labels[i] for i in chosen], labels, args.topk, chosen
    )
    text = f'{len(items):,} images of {args.index}; {len(chosen):,} of them ask for the others.'
    sections = [
        ranking_section(images, chosen, [answers], title='Images and their like', text=text)
    ]
    if args.map:
        sections.append(embedding_map(images, vectors, args.seed))
    return sections
