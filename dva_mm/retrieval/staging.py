"""Embeddings that wait to enter an index: a killed job goes on from here.

A shard is two files, ``NAME.npy`` (vectors) and ``NAME.json`` (their items). The second is written
last, so a shard without it is not there.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dva_mm.files import replace_atomically

from .retriever import Retriever

SHARD = 4096
"""Images of a shard."""


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


class Staging:
    """The folder of an index's shards.

    Args:
        folder: Made when the first shard is written.
        fingerprint: Of the retriever; shards of another are removed.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def shards(self) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """Entries and vectors (B, D) of each whole shard."""
        for file in sorted(self.folder.glob('[!.]*.json')):
            held = json.loads(file.read_text())
            vectors_file = file.with_suffix('.npy')
            if held['fingerprint'] != self.fingerprint:
                file.unlink()
                vectors_file.unlink(missing_ok=True)
                continue
            entries = [Entry(item[0], *item) for item in held['items']]
            yield entries, np.load(vectors_file, allow_pickle=False)

    def write(self, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        """Write a shard."""
        name = uuid.uuid4().hex
        with replace_atomically(self.folder / f'{name}.npy') as partial:
            np.save(partial, vectors, allow_pickle=False)
        held = dict(fingerprint=self.fingerprint, items=[entry[1:] for entry in entries])
        with replace_atomically(self.folder / f'{name}.json') as partial:
            partial.write_text(json.dumps(held))

    def clear(self) -> None:
        """Remove all shards; the files that complete them first."""
        for pattern in ('*.json', '*'):  # hidden ones too, which a killed process left
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)
        if self.folder.exists():
            self.folder.rmdir()


def embed_entries(
    retriever: Retriever,
    entries: Iterable[Entry],
    staging: Staging,
    total: int | None = None,
    batch_size: int = 64,
    workers: int = 2,
    flip: bool = False,
) -> tuple[list[Entry], np.ndarray, list[tuple[Entry, str]]]:
    """Embed entries shard by shard, each kept in ``staging``; take from there what is done.

    Args:
        retriever: Embeds the images.
        entries: What to embed.
        staging: Keeps the shards.
        total: Number of entries, for the progress bar. Defaults to None: unknown.
        batch_size, workers, flip: See :meth:`Retriever.encode`.

    Returns:
        The entries that could be read, their vectors (N, D), and the others with the reason.
    """
    kept: list[Entry] = []
    vectors: list[np.ndarray] = []
    failures: list[tuple[Entry, str]] = []
    done = {e.key: (e, v) for es, vs in staging.shards() for e, v in zip(es, vs, strict=True)}

    def embed(shard: list[Entry]) -> None:
        rows, parts = [], []
        for batch in retriever.stream([e.image for e in shard], batch_size, workers, flip):
            rows += batch.rows
            parts.append(batch.embeddings)
            failures.extend((shard[row], reason) for row, reason in batch.failures)
            bar.update(len(batch.rows) + len(batch.failures))
        if rows:
            found, embeddings = [shard[row] for row in rows], np.concatenate(parts)
            if all(entry.path is not None for entry in found):
                staging.write(found, embeddings)
            kept.extend(found)
            vectors.append(embeddings)

    with tqdm(total=total, desc='embed', unit='image') as bar:
        shard: list[Entry] = []
        for entry in entries:
            if entry.path is not None and entry.key in done:
                _, vector = done.pop(entry.key)
                kept.append(entry)
                vectors.append(vector[None])
                bar.update()
                continue
            shard.append(entry)
            if len(shard) == SHARD:
                embed(shard)
                shard = []
        if shard:
            embed(shard)
    stacked = np.concatenate(vectors) if vectors else np.empty((0, retriever.dims), np.float32)
    return kept, stacked, failures


def file_entry(
    path: str | os.PathLike, label: str | None = None, metadata: dict | None = None
) -> Entry:
    """The entry of a file, as it is at this moment.

    Raises:
        OSError: If the file is not there.
    """
    path = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
    status = os.stat(path)
    return Entry(path, path, status.st_size, status.st_mtime_ns, label, metadata or {})
