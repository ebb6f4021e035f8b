"""Embeddings that wait to enter an index: a killed job goes on from here.

A shard is two files, ``NAME.npy`` (vectors) and ``NAME.json`` (their entries). The second is
written last, so a shard without it is not there. Several processes may write shards at a time.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dva_mm.files import replace_atomically

from .images import chunks
from .items import Item, absolute
from .retriever import Embedded, Retriever

SHARD = 4096
"""Images of a shard."""
Place = tuple[str, int]
"""A shard's name and the row in it."""


class Entry(NamedTuple):
    """An image to embed."""

    image: Any
    """A path, PIL image or array, as :meth:`Retriever.encode` takes it."""
    path: str | None
    """Its absolute path; None of an image in memory."""
    size: int | None
    """Bytes of the file."""
    time: int | None
    """Time of its last change, nanoseconds since 1970."""
    label: str | None
    metadata: dict[str, Any]

    @property
    def key(self) -> tuple:
        """What tells whether a file was embedded as it is now."""
        return self.path, self.size, self.time

    def item(self, number: int) -> Item:
        """The item that it becomes."""
        return Item(number, self.path, self.label, self.size, self.time, self.metadata)


class Staging:
    """The folder of an index's shards.

    Args:
        folder: Made when the first shard is written.
        made_by: What the vectors depend on; shards of anything else are removed.
    """

    def __init__(self, folder: Path, made_by: str) -> None:
        self.folder = folder
        self.made_by = made_by
        self._vectors = lru_cache(64)(self._open)

    def places(self) -> dict[tuple, Place]:
        """Where each file's vector is, by its entry's key."""
        found = {}
        for file in sorted(self.folder.glob('[!.]*.json')):
            held = json.loads(file.read_text())
            if held['made_by'] != self.made_by:
                file.unlink(missing_ok=True)
                file.with_suffix('.npy').unlink(missing_ok=True)
                continue
            keys = enumerate(map(tuple, held['keys']))
            found |= {key: (file.stem, row) for row, key in keys if key[0] is not None}
        return found

    def write(self, entries: Sequence[Entry], vectors: np.ndarray) -> list[Place]:
        """Write a shard; returns the places of its vectors (B, D)."""
        name = uuid.uuid4().hex
        with replace_atomically(self.folder / f'{name}.npy') as partial:
            np.save(partial, vectors, allow_pickle=False)
        held = dict(made_by=self.made_by, keys=[entry.key for entry in entries])
        with replace_atomically(self.folder / f'{name}.json') as partial:
            partial.write_text(json.dumps(held))
        return [(name, row) for row in range(len(entries))]

    def _open(self, name: str) -> np.ndarray:
        return np.load(self.folder / f'{name}.npy', mmap_mode='r', allow_pickle=False)

    def blocks(
        self, kept: Sequence[tuple[Entry, Place]]
    ) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """Entries and vectors (B, D), in the order given, block by block."""
        for start in range(0, len(kept), SHARD):
            some = kept[start : start + SHARD]
            places = groupby((place for _, place in some), key=itemgetter(0))
            parts = [self._vectors(name)[[row for _, row in group]] for name, group in places]
            yield [entry for entry, _ in some], np.concatenate(parts)

    def clear(self) -> None:
        """Remove all shards; the files that complete them first."""
        self._vectors.cache_clear()
        for pattern in ('*.json', '*'):  # hidden ones too, which a killed process left
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()


def extract(
    retriever: Retriever,
    entries: Iterable[Entry],
    staging: Staging,
    total: int | None = None,
    batch_size: int = 64,
    workers: int = 2,
    flip: bool = False,
    progress: bool = True,
) -> tuple[list[tuple[Entry, Place]], list[tuple[Entry, str]]]:
    """Embed entries into shards; what is there already is left alone.

    Args:
        retriever: Embeds the images.
        entries: What to embed.
        staging: Takes the shards.
        total: Number of entries, for the progress bar. Defaults to None: unknown.
        batch_size, workers, flip: See :meth:`Retriever.encode`.
        progress: Show a progress bar. Defaults to True.

    An interrupt, or any error, writes what is embedded before it goes on.

    Returns:
        The entries that could be read with the places of their vectors, in the order given; the
        others with the reason.
    """
    kept: list[tuple[int, Entry, Place]] = []
    failures: list[tuple[Entry, str]] = []
    done = staging.places()
    lists = [(0, entries)] if isinstance(entries, Sequence) else chunks(entries)
    with tqdm(total=total, desc='embed', unit='image', disable=not progress) as bar:
        for start, some in lists:
            pending = []
            for number, entry in enumerate(some, start):
                place = done.get(entry.key)
                if place is None:
                    pending.append((number, entry))
                else:
                    kept.append((number, entry, place))
            bar.update(len(some) - len(pending))
            batches: list[Embedded] = []
            images = [entry.image for _, entry in pending]
            try:
                for batch in retriever.stream(images, batch_size, workers, flip):
                    batches.append(batch)
                    failures += [(pending[row][1], reason) for row, reason in batch.failures]
                    bar.update(len(batch.rows) + len(batch.failures))
                    if sum(len(batch.rows) for batch in batches) >= SHARD:
                        kept += _write_shard(staging, pending, batches)
                        batches = []
            except BaseException:
                with suppress(OSError):  # a full disk, which the first error says
                    _write_shard(staging, pending, batches)
                raise
            kept += _write_shard(staging, pending, batches)
    return [(entry, place) for _, entry, place in sorted(kept, key=lambda one: one[0])], failures


def _write_shard(
    staging: Staging, pending: list[tuple[int, Entry]], batches: list[Embedded]
) -> list[tuple[int, Entry, Place]]:
    rows = [pending[row] for batch in batches for row in batch.rows]
    if not rows:
        return []
    vectors = np.concatenate([batch.embeddings for batch in batches])
    places = staging.write([entry for _, entry in rows], vectors)
    return [(number, entry, place) for (number, entry), place in zip(rows, places, strict=True)]


def file_entry(
    path: str | os.PathLike, label: str | None = None, metadata: dict | None = None
) -> Entry:
    """The entry of a file, as it is at this moment.

    Raises:
        OSError: If the file is not there.

    >>> file_entry('.').label is None
    True
    """
    path = absolute(path)
    status = os.stat(path)
    return Entry(path, path, status.st_size, status.st_mtime_ns, label, metadata or {})
