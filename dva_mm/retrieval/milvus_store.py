"""An index in a Milvus database: embedded in this process (Milvus Lite), a server or a cluster."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from .items import Item
from .lock import write_lock
from .milvus_rows import (
    FIELDS,
    LITE,
    connect,
    create_collections,
    expression,
    index_options,
    item_row,
    parts,
    row_item,
    row_path,
    staging_folder,
    write_row,
)
from .staging import Entry

MOST = 16384
"""Rows of an answer; Milvus gives no more."""
ROWS = 1000
"""Rows, or queries, of a request."""
WINDOW = 4096
"""Ids looked at in a request for many rows."""


class MilvusStorage:
    """What an :class:`~dva_mm.retrieval.Index` in Milvus holds: the interface of FolderStorage.

    A collection has the items and their vectors; ``NAME_state`` says what they were made with. A
    change enters block by block: after a kill, the same command goes on.

    Args:
        location: ``'milvus:FILE.db'`` or ``'http://HOST:19530'``, with ``#NAME`` for another
            collection than 'dva_mm'.
        mmap: Not used: the server sees to it.

    Raises:
        FileNotFoundError: If there is no index.
        IndexBusyError, ImportError: See :func:`~.milvus_rows.connect`.
    """

    def __init__(self, location: str, mmap: bool = False) -> None:
        self.location, self.name = parts(location)
        if location.startswith(LITE) and not Path(self.location).exists():
            raise FileNotFoundError(f'{location} is no index; build one there first')
        self.client = connect(location)
        if not self.client.has_collection(f'{self.name}_state'):
            raise FileNotFoundError(f'{location} has no index {self.name!r}; build one there first')
        self.refresh()

    @staticmethod
    def check(dims: int, factory: str | None) -> None:
        """Refuse an index type that Milvus cannot have (ValueError)."""
        index_options(factory)

    @staticmethod
    def create(location: str, state: dict) -> None:
        """Make an empty index, where there is none yet."""
        client, (_, name) = connect(location), parts(location)
        if client.has_collection(f'{name}_state'):
            return
        client.drop_collection(name)  # of a process killed right here
        create_collections(client, name, state)
        write_row(client, name, state)
        client.close()

    def __len__(self) -> int:
        return self.state['count']

    def __str__(self) -> str:
        return f'{self.location}#{self.name}'

    @property
    def staging(self) -> Path:
        """Where embeddings wait: beside the file, or in the current folder for a server's."""
        return staging_folder(self.location, self.name)

    def refresh(self) -> bool:
        """Show the newest state; returns whether another process has changed it."""
        before = getattr(self, 'state', None)
        rows = self.client.query(f'{self.name}_state', 'id == 0', output_fields=['state'])
        if not rows:
            raise FileNotFoundError(f'{self} is no whole index; build one there first')
        self.state = rows[0]['state']
        (counted,) = self.client.query(self.name, output_fields=['count(*)'])
        self.state['count'] = int(counted['count(*)'])
        return before is not None and before['generation'] != self.state['generation']

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of this machine's writers; over several machines, run one at a time.

        Raises:
            IndexBusyError: If another process holds it.
        """
        with write_lock(f'{self.staging}.lock', self):
            self.refresh()
            yield

    def commit(
        self,
        blocks: Iterable[tuple[list[Entry], np.ndarray]],
        gone: Sequence[int],
        moved: Sequence[Item] = (),
    ) -> None:
        """Remove and change items, add entries with their vectors (B, D), block by block."""
        state = self.state
        for start in range(0, len(gone), ROWS):
            self.client.delete(self.name, ids=gone[start : start + ROWS])
        for start in range(0, len(moved), ROWS):
            some = moved[start : start + ROWS]
            pairs = zip(some, self.vectors([item.id for item in some]), strict=True)
            self.client.upsert(self.name, [dict(item_row(i), vector=v) for i, v in pairs])
        for entries, vectors in blocks:
            first = state['next_id']
            state['next_id'] += len(entries)
            write_row(self.client, self.name, state)  # no id is ever given twice
            rows = [
                dict(item_row(entry.item(number)), vector=vector)
                for number, (entry, vector) in enumerate(zip(entries, vectors, strict=True), first)
            ]
            for start in range(0, len(rows), ROWS):
                self.client.insert(self.name, rows[start : start + ROWS])
        state['generation'] += 1
        write_row(self.client, self.name, state)
        self.refresh()

    def check_size(self, count: int) -> None:
        """Milvus trains its indexes by itself: nothing is refused."""

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        where: dict[str, Any] | None = None,
        exact: bool = False,
        nprobe: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores, falling, and ids (Q, k) of the nearest; where there are fewer, id -1.

        Raises:
            ValueError: If more than 16384 are wanted, or ``exact`` of an approximate index.
        """
        if exact and self.state['factory'] is not None:
            raise ValueError(f'{self} searches by {self.state["factory"]}; build an exact one')
        k = min(k, len(self))
        if k > MOST:
            raise ValueError(f'Milvus gives at most {MOST} hits, asked for are {k}')
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        ids = np.full(scores.shape, -1, np.int64)
        params = dict(nprobe=nprobe) if nprobe else {}
        for row, found in self._find(vectors, k, where, params) if k else ():
            ids[row, : len(found)] = [hit['id'] for hit in found]
            scores[row, : len(found)] = [hit['distance'] for hit in found]
        return scores, ids

    def search_range(
        self, vectors: np.ndarray, score: float, where: dict[str, Any] | None = None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each query, scores, falling, and ids of all with at least ``score``, up to 16384."""
        least = float(np.nextafter(np.float32(score), np.float32(-np.inf)))
        answers = self._find(vectors, max(1, min(MOST, len(self))), where, dict(radius=least))
        pairs = ([(hit['distance'], hit['id']) for hit in found] for _, found in answers)
        return [
            (np.array([s for s, _ in found], np.float32), np.array([i for _, i in found], np.int64))
            for found in pairs
        ]

    def _find(
        self, vectors: np.ndarray, k: int, where: dict[str, Any] | None, params: dict
    ) -> Iterator[tuple[int, list[dict]]]:
        options = dict(limit=k, filter=expression(where), output_fields=['id'])
        options['search_params'] = dict(metric_type='IP', params=params)
        for start in range(0, len(vectors), ROWS):
            asked = list(vectors[start : start + ROWS])
            yield from enumerate(self.client.search(self.name, asked, **options), start)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors (N, D) by id."""
        found = {row['id']: row['vector'] for row in self._get(ids, ['id', 'vector'])}
        rows = [found[int(number)] for number in ids]
        return np.array(rows, np.float32).reshape(-1, self.state['dims'])

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids (B,) and vectors (B, D) of all, block by block."""
        for rows in self._iterate('', ['id', 'vector']):
            ids = np.array([row['id'] for row in rows], np.int64)
            yield ids, np.array([row['vector'] for row in rows], np.float32)

    def items(self, ids: Sequence[int]) -> dict[int, Item]:
        """Items by id; unknown ids are left out."""
        return {row['id']: row_item(row) for row in self._get(ids, FIELDS)}

    def select(self, where: dict[str, Any], limit: int | None = None) -> list[int]:
        """Ids of the items with these values, at most ``limit``."""
        return sorted(row['id'] for row in islice(self._rows(expression(where), ['id']), limit))

    def labels(self) -> dict[int, str | None]:
        """The label of each item, by id, rising."""
        return dict(sorted((row['id'], row['label']) for row in self._rows('', ['id', 'label'])))

    def values(self, name: str) -> list[Any]:
        """The values, each once, of 'label' or a key of the metadata."""
        rows = self._rows('', ['id', 'label', 'metadata'])
        values = ((row if name == 'label' else row['metadata']).get(name) for row in rows)
        return list({value: None for value in values if isinstance(value, str | int | float)})

    def keys(self) -> list[str]:
        """The keys of the metadata."""
        rows = self._rows('', ['id', 'metadata'])
        return sorted(set().union(*(row['metadata'] for row in rows)))

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Id, size and time of each file's item, by path."""
        rows = self._rows('path != ""', ['id', 'path', 'size', 'time'])
        return {row_path(row['path']): (row['id'], row['size'], row['time']) for row in rows}

    def _get(self, ids: Sequence[int], fields: list[str]) -> list[dict]:
        ids = sorted({int(number) for number in ids})
        found = []
        for start in range(0, len(ids), ROWS):
            some = ids[start : start + ROWS]
            found += self.client.get(self.name, ids=some, output_fields=fields)
        return found

    def _rows(self, condition: str, fields: list[str]) -> Iterator[dict]:
        return chain.from_iterable(self._iterate(condition, fields))

    def _iterate(self, condition: str, fields: list[str]) -> Iterator[list[dict]]:
        """Rows with these fields, in windows of ids: no answer can then hold too many."""
        for start in range(0, self.state['next_id'], WINDOW):
            window = f'id >= {start} and id < {start + WINDOW}'
            both = f'{window} and ({condition})' if condition else window
            if rows := self.client.query(self.name, both, output_fields=fields, limit=WINDOW):
                yield list(rows)
