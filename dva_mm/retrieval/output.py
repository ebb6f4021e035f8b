"""What the commands print and write: hits and items as text, JSON and pages."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dva_mm.files import replace_atomically

from .arguments import printable

if TYPE_CHECKING:
    from .items import Item
    from .queries import Hit


def print_hits(query: str, hits: Sequence['Hit']) -> None:
    """A query and its hits, one a line."""
    print(printable(query))
    for hit in hits:
        print(f'{hit.rank:4d}  {hit.score:.4f}  {item_line(hit)}')


def item_line(item: 'Hit | Item') -> str:
    """The path, or the number of an image that was given in memory, and the label."""
    label = '' if item.label is None else f'  [{printable(item.label)}]'
    return f'item {item.id}{label}' if item.path is None else f'{printable(item.path)}{label}'


def print_failures(failures: Sequence[tuple[str, str]], what: str = '') -> None:
    """List what cannot be read, with the reasons, where errors go."""
    if failures:
        print(f'{len(failures):,} cannot be read{f", {what}" if what else ""}:', file=sys.stderr)
    for name, reason in failures:
        print(f'  {printable(name)}: {printable(reason)}', file=sys.stderr)


def shown_hit(hit: 'Hit') -> dict[str, Any]:
    """A hit for JSON."""
    return dict(rank=hit.rank, score=hit.score, **shown_item(hit))


def shown_item(item: 'Hit | Item') -> dict[str, Any]:
    """An item for JSON; a path that is no UTF-8 comes with its ``file:`` address, which keeps it.

    >>> from dva_mm.retrieval import Item
    >>> shown_item(Item(3, '/a/\\udcff.jpg', None, 10, 0, {}))['uri']
    'file:///a/%FF.jpg'
    """
    shown = dict(path=item.path, id=item.id, label=item.label, metadata=item.metadata)
    if item.path is not None and not _is_text(item.path):
        shown['uri'] = Path(item.path).as_uri()
    return shown


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def print_json(value: Any) -> None:
    """Print values as JSON, in ASCII; bytes of no text become ``\\udcXX``, written out."""
    print(json.dumps(_as_text(value), indent=1))


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors='backslashreplace').decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(one) for key, one in value.items()}
    return list(map(_as_text, value)) if isinstance(value, list | tuple) else value


def write_pages(page: Path, answered: Sequence[tuple[str, Sequence['Hit']]]) -> None:
    """Write a page for each query with its hits; of several, numbered ones."""
    from dva_mm.visualization.page import hits_page

    for place, (query, hits) in enumerate(answered, 1):
        file = page if len(answered) == 1 else page.with_stem(f'{page.stem}-{place}')
        write_page(file, hits_page(query, hits))


def write_page(file: Path, text: str) -> None:
    """Write a page as a whole, and say where it is."""
    with replace_atomically(file) as partial:
        partial.write_text(text, encoding='utf-8')
    print(f'page: {printable(os.fspath(file))}', file=sys.stderr)
