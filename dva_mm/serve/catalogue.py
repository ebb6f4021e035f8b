"""An index as a page shows it: names, labels, examples, small pictures, answers."""

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from dva_mm.datasets.image import read_image
from dva_mm.retrieval import Hit, Index, Item
from dva_mm.visualization.shown import relative, sample
from dva_mm.visualization.thumbnails import thumbnail

EXAMPLES = 8
BLOCK = 4096
SMALL = 224
"""Longer side of a small picture, in pixels."""
KEPT = 4096  # small pictures, of about 10 kB each


class Catalogue:
    """The items of an index, for any number of visitors at a time.

    Of the machine's files it opens those alone that are items of the index, and those alone as long
    as they have the size and time that they were indexed with.

    Args:
        index: To be shown; its model is loaded when first needed.

    >>> import tempfile
    >>> from dva_mm import Retriever
    >>> retriever = Retriever.load('dva_mm::dva_demo.py', device='cpu')
    >>> pictures = [np.full((64, 64, 3), value, np.uint8) for value in (0, 90, 255)]
    >>> index = Index.build(retriever, pictures, tempfile.mkdtemp(), labels=list('aba'), workers=0)
    >>> catalogue = Catalogue(index)
    >>> catalogue.labels
    {'a': 2, 'b': 1}
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.lock = threading.RLock()
        """Held while the index or its model is used."""
        self.small_picture = lru_cache(KEPT)(partial(self.picture, side=SMALL))
        """Of an item by its id; see :meth:`picture`."""
        self._read()

    def _read(self) -> None:
        labels: Counter[str] = Counter()
        first: dict[str, int] = {}
        ids: list[int] = []
        common = ''
        for items in self._blocks():
            for item in items:
                if item.label is not None:
                    labels[item.label] += 1
                if item.path is not None:
                    ids.append(item.id)
                    first.setdefault(item.label or '', item.id)
            folders = {os.path.dirname(item.path) for item in items if item.path is not None}
            common = os.path.commonpath(folders | {common} - {''}) if folders else common
        self.folder = common
        self.labels = dict(sorted(labels.items()))
        """Number of items by label."""
        chosen = list(first.values()) if len(first) > 1 else ids
        self.examples = [chosen[place] for place in sample(len(chosen), EXAMPLES, seed=0)]
        """Ids of a few items, of different labels where there are labels."""

    def _blocks(self) -> Iterator[list[Item]]:
        for ids, _ in self.index.storage.blocks():
            for start in range(0, len(ids), BLOCK):
                yield list(self.index.storage.items(ids[start : start + BLOCK].tolist()).values())

    def refresh(self) -> None:
        """Show the index as it is now, where another process has changed it."""
        with self.lock:
            if self.index.refresh():
                self._read()

    def item(self, number: int) -> Item:
        """An item by its id.

        Raises:
            ValueError: If there is none.
        """
        is_id = type(number) is int and abs(number) < 2**63
        with self.lock:
            found = self.index.storage.items([number]) if is_id else {}
        if not found:
            raise ValueError(f'the index has no image {number!r}'[:200])
        return found[number]

    def name(self, item: Item | Hit) -> str:
        """An item's path below the folder that holds all of them, as text."""
        name = relative(item.path, self.folder) or f'image {item.id}'
        return os.fsencode(name).decode(errors='backslashreplace')

    def file(self, number: int) -> Path:
        """The file of an item.

        Raises:
            ValueError: If it has none, or it is not the one any more that was indexed.
        """
        item = self.item(number)
        if item.path is None:
            raise ValueError(f'image {number} was indexed from memory: it has no file')
        try:
            status = os.stat(item.path)
        except OSError:
            status = None
        if status is None or (status.st_size, status.st_mtime_ns) != (item.size, item.time):
            raise ValueError(f'{self.name(item)} is gone, or was changed since it was indexed')
        return Path(item.path)

    def picture(self, number: int, side: int) -> str | None:
        """An item's picture as a data URI, its longer side ``side`` pixels; None without one."""
        try:
            return thumbnail(self.file(number), side)
        except ValueError:
            return None

    def pixels(self, number: int) -> np.ndarray:
        """An item's picture, (H, W, 3) uint8 RGB.

        Raises:
            ValueError: If it has none.
        """
        file = self.file(number)
        try:
            return np.ascontiguousarray(read_image(file)[..., ::-1])
        except (OSError, ValueError) as error:
            raise ValueError(f'{self.name(self.item(number))} cannot be read') from error

    def search(
        self,
        query: np.ndarray | int,
        k: int,
        labels: Sequence[str] | None = None,
        without: int | None = None,
    ) -> list[Hit]:
        """The images most like a query, the nearest first.

        Args:
            query: A picture (H, W, 3) uint8 RGB, or an item's id.
            k: Most hits.
            labels: Search only items with one of these. Defaults to None: all.
            without: Id of an item that is left out. Defaults to None.
        """
        where = dict(label=list(labels)) if labels else None
        with self.lock:
            hits = self.index.search(query, k + (without is not None), where)
        left = [hit for hit in hits if hit.id != without][:k]
        return [hit._replace(rank=rank) for rank, hit in enumerate(left, 1)]
