"""Adding to an index: what is lacking is embedded, what is gone is dropped."""

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch.distributed as dist

from .entries import MakeEntries
from .items import Item, absolute
from .moved import match_moved
from .staging import SHARD, Entry, Staging, extract
from .where import check_where

if TYPE_CHECKING:
    from .index import Index

PATIENCE = datetime.timedelta(days=14)
"""So long a process waits for slower ones."""


class Change(NamedTuple):
    """What a change of an index did."""

    added: int
    """New or changed images."""
    removed: int
    """Images that are gone."""
    unchanged: int
    failures: list[tuple[str, str]]
    """Name and reason of each image, or folder, that cannot be read."""
    moved: int = 0
    """Files at another place than before, which were not embedded again."""

    def __str__(self) -> str:
        counts = f'{self.added:,} added, {self.removed:,} removed, {self.unchanged:,} unchanged'
        moved = f', {self.moved:,} moved' if self.moved else ''
        return f'{counts}{moved}, {len(self.failures):,} cannot be read'


def change(
    index: 'Index',
    make_entries: MakeEntries,
    total: int | None,
    root: str | None = None,
    distributed: bool = False,
    **options: int,
) -> Change | None:
    """Embed what an index lacks, and commit it.

    Args:
        index: To be changed.
        make_entries: From :func:`~.entries.image_entries` or :func:`~.entries.folder_entries`.
        total: Number of entries; None where it is unknown.
        root: Items below this folder that are no entry are removed. Defaults to None: none are.
        distributed: Called by all processes of torch.distributed; each embeds its part, the first
            one commits. Defaults to False.
        **options: ``batch_size``, ``workers`` and ``progress`` of :meth:`Retriever.encode`.

    Returns:
        What was done; None of all processes but the first.

    Raises:
        ValueError: If ``root`` is empty where the index has images of it.
        IndexBusyError: If another process is writing.
    """
    storage = index.storage
    rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
    options |= dict(flip=index.flip, progress=options.get('progress', True) and rank == 0)
    made_by = f'{index.state["fingerprint"]}{"-flip" if index.flip else ""}'
    staging = Staging(storage.staging, made_by)
    with nullcontext() if rank else storage.writing():
        present = storage.files()
        failures: list[tuple[str, str]] = []
        seen: set[str] = set()
        unchanged = 0

        def lacking() -> Iterator[Entry]:
            nonlocal unchanged
            for entry in make_entries(failures):
                if entry.path is not None:
                    if entry.path in seen:
                        continue
                    seen.add(entry.path)
                    same = present.get(entry.path, ())[1:] == entry.key[1:]
                    if same and (root is not None or not (entry.label or entry.metadata)):
                        unchanged += 1
                        continue
                    if entry.path in present:
                        number = present[entry.path][0]
                        old = storage.items([number])[number]
                        label, extra = entry.label or old.label, entry.metadata or old.metadata
                        if same and (label, extra) == (old.label, old.metadata):
                            unchanged += 1
                            continue
                        entry = entry._replace(label=label, metadata=extra)
                yield entry

        entries: Iterable[Entry] = lacking()
        if total is not None:  # counted before the model is loaded: often nothing is to be done
            entries = list(entries)
            total = len(entries)
            storage.check_size(len(storage) + total)
        if root is not None and not seen and not failures:
            lost = sum(path.startswith(os.path.join(root, '')) for path in present)
            if lost:
                raise ValueError(
                    f'{root} holds no images, but the index has {lost:,} of it: is a disk not '
                    'mounted? Index.remove(paths=...) takes them out'
                )
        vanished = {} if root is None else _vanished(root, present, seen, failures)
        new = (entry for entry in entries if entry.path not in present)
        moved = match_moved(new, vanished) if vanished else {}
        arrived = [entry for entry in entries if entry.path in moved] if moved else []
        if moved:
            entries = [entry for entry in entries if entry.path not in moved]
            total = len(entries)
        if world > 1:
            step = max(1, min(SHARD, -(-total // world)))
            parts = range(rank * step, total, world * step)
            mine = [entry for start in parts for entry in entries[start : start + step]]
            if mine:
                extract(index.retriever, mine, staging, len(mine), **options)
            dist.barrier()
        if rank:
            return None
        kept = []
        if total != 0:
            kept, unread = extract(index.retriever, entries, staging, total, **options)
            failures += [(e.path or 'an image in memory', reason) for e, reason in unread]
        replaced = {present[e.path][0] for e, _ in kept if e.path in present}
        gone = {present[name][0] for name, _ in failures if name in present}
        gone |= {number for number, _, _ in vanished.values()}
        gone -= {number for _, number in moved.values()}
        if kept or gone or moved:
            items = _moved_items(storage, arrived, moved)
            storage.commit(staging.blocks(kept), sorted(gone | replaced), items)
        staging.clear()
        return Change(len(kept), len(gone), unchanged, failures, len(moved))


def _vanished(
    root: str, present: dict[str, tuple], seen: set[str], failures: list[tuple[str, str]]
) -> dict[str, tuple]:
    """What of a folder is no longer there; what lies in an unreadable folder may be."""
    below = os.path.join(root, '')
    hidden = tuple(os.path.join(name, '') for name, _ in failures)
    return {
        path: known
        for path, known in present.items()
        if path not in seen and path.startswith(below) and not path.startswith(hidden)
    }


def _moved_items(
    storage: Any, arrived: list[Entry], moved: dict[str, tuple[str, int]]
) -> list[Item]:
    """The items of moved files as they are now; a label that is not given anew is kept."""
    old = storage.items([number for _, number in moved.values()])
    items = []
    for entry in arrived:
        before = old[moved[entry.path][1]]
        label, extra = entry.label or before.label, entry.metadata or before.metadata
        items.append(entry._replace(label=label, metadata=extra).item(before.id))
    return items


def remove(
    storage: Any, ids: Iterable[int], paths: Iterable[Any], where: dict[str, Any] | None
) -> int:
    """Remove items; see :meth:`Index.remove`."""
    with storage.writing():
        gone = set(storage.items([int(number) for number in ids]))
        files = storage.files() if paths else {}
        for path in map(absolute, paths):
            if path in files:
                gone.add(files[path][0])
            else:
                below = os.path.join(path, '')
                gone |= {known[0] for name, known in files.items() if name.startswith(below)}
        if where:
            check_where(storage, where)
            gone |= set(storage.select(where))
        if gone:
            storage.commit([], sorted(gone))
        return len(gone)
