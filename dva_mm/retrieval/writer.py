"""Changes of an index: one writer at a time, each change whole or not at all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from .items import Item, Items
from .staging import Entry, Staging, embed_entries
from .state import ITEMS, LOCK, STAGING, write_state

if TYPE_CHECKING:
    from .index import Index


class Change(NamedTuple):
    """What a change of an index did."""

    added: int
    """New or changed images."""
    removed: int
    """Images that are gone."""
    unchanged: int
    failures: list[tuple[str, str]]
    """Name and reason of each image that cannot be read."""

    def __str__(self) -> str:
        counts = f'{self.added:,} added, {self.removed:,} removed, {self.unchanged:,} unchanged'
        return f'{counts}, {len(self.failures):,} cannot be read'


@contextmanager
def writing(index: 'Index') -> Iterator[None]:
    """Hold the lock of writers, at the newest state of an index.

    Raises:
        RuntimeError: If another process holds it.
    """
    lock = FileLock(index.folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(
            f'another process is writing to {index.folder}; wait until it has finished. Searching '
            'goes on meanwhile'
        ) from error
    try:
        index.prepare_to_write()
        index.items.close()
        index.items = Items(index.folder / ITEMS, writable=True)
        index.items.recover(index.state['generation'])
        yield
    finally:
        index.items.close()
        index.items = Items(index.folder / ITEMS)
        lock.release()


def change(
    index: 'Index',
    make_entries: Callable[[list[tuple[str, str]]], Iterable[Entry]],
    total: int | None,
    root: Path | None = None,
    **options: int | bool,
) -> Change:
    """Embed what an index lacks, and commit it.

    Args:
        index: To be changed.
        make_entries: Takes a list for failures, gives the entries that shall be there.
        total: Number of entries; None where it is unknown.
        root: Items below it that are no entry are removed. Defaults to None: none are.
        **options: ``batch_size``, ``workers`` and ``flip`` of :meth:`Retriever.encode`.

    Raises:
        RuntimeError: If another process is writing.
    """
    with writing(index):
        present = index.items.files(index.state['generation'])
        failures: list[tuple[str, str]] = []
        seen: set[str] = set()
        counts = dict(unchanged=0)

        def lacking() -> Iterator[Entry]:
            for entry in make_entries(failures):
                if entry.path is not None:
                    if entry.path in seen:
                        continue
                    seen.add(entry.path)
                    if present.get(entry.path, ())[1:] == entry.key[1:]:
                        counts['unchanged'] += 1
                        continue
                yield entry

        entries: Iterable[Entry] = lacking()
        if total is not None:  # counted before the model is loaded: often nothing is to be done
            entries = list(entries)
            total = len(entries)
        staging = Staging(index.folder / STAGING, index.state['fingerprint'])
        kept: list[Entry] = []
        vectors = np.empty((0, index.dims), np.float32)
        if total != 0:
            kept, vectors, unread = embed_entries(
                index.retriever, entries, staging, total, **options
            )
            failures += [(e.path or 'an image in memory', reason) for e, reason in unread]
        replaced = {present[entry.path][0] for entry in kept if entry.path in present}
        gone = {present[name][0] for name, _ in failures if name in present}
        if root is not None:
            below = f'{str(root).rstrip("/")}/'
            vanished = (path for path in present.keys() - seen if path.startswith(below))
            gone |= {present[path][0] for path in vanished}
        if kept or gone:
            commit(index, kept, vectors, sorted(gone | replaced))
        staging.clear()
        return Change(len(kept), len(gone), counts['unchanged'], failures)


def commit(
    index: 'Index', entries: Sequence[Entry], vectors: np.ndarray, gone: Sequence[int]
) -> None:
    """Write the next generation of an index; it counts once ``index.json`` names it.

    Args:
        index: Held by :func:`writing`.
        entries: New items.
        vectors: Theirs, (B, D).
        gone: Ids of items to remove.
    """
    old = index.state
    state = dict(old, generation=old['generation'] + 1)
    ids = range(old['next_id'], old['next_id'] + len(entries))
    exact, approximate = index.files(state['generation'])
    try:
        index.store.remove(gone)
        index.store.add(vectors, ids)
        # It is trained when it is first filled, and again when it has doubled.
        untrained = index.store.approximate is None
        if index.factory is not None and (untrained or len(index) > 2 * old['trained_on']):
            index.store.build()
            state['trained_on'] = len(index.store)
        items = [
            Item(number, entry.path, entry.label, entry.size, entry.time, entry.metadata)
            for number, entry in zip(ids, entries, strict=True)
        ]
        index.items.remove(gone, state['generation'])
        index.items.add(items, state['generation'])
        index.store.save(exact, approximate)
        state |= dict(next_id=ids.stop, count=len(index.store))
        write_state(index.folder, state)
    except BaseException:
        index.items.recover(old['generation'])
        index.read()
        raise
    index.state = state
    stale = {*index.folder.glob('*.faiss'), *index.folder.glob('.index.*')}  # '*' takes hidden ones
    for file in stale - {exact, approximate}:
        file.unlink(missing_ok=True)
