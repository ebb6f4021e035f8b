"""An index in a folder of this machine: faiss files, an SQLite table, and a small JSON file."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .faiss_files import has_unit_rows
from .faiss_store import FaissStore
from .items import Item, Items
from .lock import write_lock
from .staging import Entry
from .state import STATE, read_state, write_state

ITEMS, STAGING, LOCK = 'items.sqlite', 'staging', 'write.lock'


class FolderStorage:
    """What an :class:`~dva_mm.retrieval.Index` in a folder holds.

    Every change writes the files of a new generation, and appears as a whole when ``index.json``
    names it. One process writes at a time; readers go on with the generation that they opened.

    Args:
        location: The folder.
        mmap: Map the vectors into memory instead of reading them. Defaults to False.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If a file of it is damaged.
    """

    def __init__(self, location: str | Path, mmap: bool = False) -> None:
        self.folder = Path(location).expanduser().absolute()
        self.mmap = mmap
        self.table: Items | None = None
        self._read()

    @staticmethod
    def check(dims: int, factory: str | None) -> None:
        """Refuse a factory that faiss does not know (ValueError)."""
        FaissStore(dims, factory)

    @staticmethod
    def create(location: str | Path, state: dict) -> None:
        """Make an empty index, where there is none yet.

        Raises:
            ValueError: If something else is there.
        """
        folder = Path(location).expanduser().absolute()
        ours = (STATE, ITEMS, LOCK, '.index.')  # of a process killed right here
        if not (folder / STATE).exists():
            if folder.is_file() or any(not p.name.startswith(ours) for p in folder.glob('*')):
                raise ValueError(f'{folder} exists and is no index; choose another folder')
            folder.mkdir(parents=True, exist_ok=True)
        with write_lock(folder / LOCK, folder):
            # One that was begun and has nothing yet is made as it is asked for now.
            if not (folder / STATE).exists() or read_state(folder)['generation'] == 0:
                Items(folder / ITEMS, writable=True).close()
                write_state(folder, dict(state, trained_on=0))

    def __len__(self) -> int:
        return self.state['count']

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def staging(self) -> Path:
        """Where embeddings wait."""
        return self.folder / STAGING

    def _files(self, generation: int) -> tuple[Path, Path]:
        names = f'exact-{generation}.faiss', f'approximate-{generation}.faiss'
        return self.folder / names[0], self.folder / names[1]

    def _read(self) -> None:
        state = read_state(self.folder)
        while True:
            try:
                store = self._open_store(state)
                break
            except ValueError:
                newest = read_state(self.folder)
                if newest['generation'] == state['generation']:
                    raise
                state = newest  # a writer replaced the files meanwhile
        self.close()
        self.state, self.store = state, store
        self.table = Items(self.folder / ITEMS)

    def _open_store(self, state: dict) -> FaissStore:
        if not state['count']:
            return FaissStore(state['dims'], state['factory'])
        exact, approximate = self._files(state['generation'])
        store = FaissStore.open(state['dims'], state['factory'], exact, approximate, self.mmap)
        if len(store) != state['count']:
            raise ValueError(
                f'{self.folder}: {exact.name} holds {len(store)} vectors, {STATE} says '
                f'{state["count"]}; restore the folder, or build it again'
            )
        # Truncation is seen by faiss; overwritten vectors have another length than one.
        if not self.mmap and not all(has_unit_rows(rows) for _, rows in store.blocks()):
            raise ValueError(f'{exact} is damaged; restore the folder, or build it again')
        return store

    def refresh(self) -> bool:
        """Show the newest generation; returns whether another process has changed it."""
        if read_state(self.folder)['generation'] == self.state['generation']:
            return False
        self._read()
        return True

    def close(self) -> None:
        """Close its files."""
        if self.table is not None:
            self.table.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of writers, at the newest generation.

        Raises:
            IndexBusyError: If another process holds it.
        """
        with write_lock(self.folder / LOCK, self):
            self.refresh()
            if self.mmap:  # what is mapped cannot be changed
                self.mmap = False
                self._read()
            self.table.close()
            self.table = Items(self.folder / ITEMS, writable=True)
            try:
                self.table.recover(self.state['generation'])
                yield
            finally:
                self.table.close()
                self.table = Items(self.folder / ITEMS)

    def commit(
        self,
        blocks: Iterable[tuple[list[Entry], np.ndarray]],
        gone: Sequence[int],
        moved: Sequence[Item] = (),
    ) -> None:
        """Write the next generation.

        Args:
            blocks: New entries and their vectors (B, D), block by block.
            gone: Ids of items to remove.
            moved: Items that keep id and vector, as they are from now on. Defaults to none.
        """
        old = self.state
        state = dict(old, generation=old['generation'] + 1)
        exact, approximate = self._files(state['generation'])
        try:
            self.store.remove(gone)
            self.table.remove(gone, state['generation'])
            self.table.replace(moved, state['generation'])
            for entries, vectors in blocks:
                ids = range(state['next_id'], state['next_id'] + len(entries))
                self.store.add(vectors, ids)
                items = (entry.item(number) for number, entry in zip(ids, entries, strict=True))
                self.table.add(items, state['generation'])
                state['next_id'] = ids.stop
            state['count'] = len(self.store)
            # It is trained when it is first filled, and again when it has doubled.
            grown = self.store.approximate is None or len(self.store) > 2 * state['trained_on']
            if state['factory'] is not None and state['count'] and grown:
                self.store.build()
                state['trained_on'] = state['count']
            self.store.save(exact, approximate)
            write_state(self.folder, state)
        except BaseException:
            self.table.recover(old['generation'])
            writable = self.table
            self.table = None
            self._read()
            self.close()
            self.table = writable
            raise
        self.state = state
        # '*' takes hidden files too, which a killed process left
        stale = {*self.folder.glob('*.faiss'), *self.folder.glob('.index.*')}
        for file in stale - {exact, approximate}:
            file.unlink(missing_ok=True)

    def check_size(self, count: int) -> None:
        """Refuse so few vectors that the approximate index cannot be trained (ValueError)."""
        least = FaissStore(self.state['dims'], self.state['factory']).least
        if count and self.store.approximate is None and count < least:
            raise ValueError(
                f'factory {self.state["factory"]!r} needs at least {least} images, there are '
                f'{count}; take a smaller one, or none for exact search'
            )

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        where: dict[str, Any] | None = None,
        exact: bool = False,
        nprobe: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores, falling, and ids (Q, k) of the nearest; see :meth:`FaissStore.search`."""
        allowed = None if where is None else self.select(where)
        k = min(k, len(self) if allowed is None else len(allowed))
        return self.store.search(vectors, k, allowed, exact, nprobe)

    def search_range(
        self, vectors: np.ndarray, score: float, where: dict[str, Any] | None = None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each query, scores, falling, and ids of all with at least ``score``."""
        allowed = None if where is None else self.select(where)
        return self.store.search_range(vectors, score, allowed)

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors (N, D) by id."""
        return self.store.vectors(ids)

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids (B,) and vectors (B, D) of all, block by block."""
        return self.store.blocks()

    def items(self, ids: Sequence[int]) -> dict[int, Item]:
        """Items by id; unknown ids are left out."""
        return self.table.get(ids, self.state['generation'])

    def select(self, where: dict[str, Any], limit: int | None = None) -> list[int]:
        """Ids of the items with these values, at most ``limit``."""
        return self.table.select(where, self.state['generation'], limit)

    def labels(self) -> dict[int, str | None]:
        """The label of each item, by id, rising."""
        return self.table.labels(self.state['generation'])

    def values(self, name: str) -> list[Any]:
        """The values, each once, of 'label' or a key of the metadata."""
        return self.table.values(name, self.state['generation'])

    def keys(self) -> list[str]:
        """The keys of the metadata."""
        return self.table.keys(self.state['generation'])

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Id, size and time of each file's item, by path."""
        return self.table.files(self.state['generation'])
