"""Adding to an index: what is lacking is embedded, what is gone is dropped."""

import datetime
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch.distributed as dist

from .images import find_images
from .items import absolute
from .staging import SHARD, Entry, Staging, extract, file_entry

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

    def __str__(self) -> str:
        counts = f'{self.added:,} added, {self.removed:,} removed, {self.unchanged:,} unchanged'
        return f'{counts}, {len(self.failures):,} cannot be read'


MakeEntries = Callable[[list[tuple[str, str]]], Iterable[Entry]]
"""Takes a list for failures, gives the entries that shall be there."""


def image_entries(
    images: Iterable[Any],
    total: int | None,
    labels: Sequence[str] | None = None,
    metadata: Sequence[dict] | None = None,
) -> MakeEntries:
    """Entries of images; see :meth:`Index.add`.

    Raises:
        ValueError: If labels or metadata are not as many as the images, or no JSON.
    """
    for name, values in (('labels', labels), ('metadata', metadata)):
        if values is None:
            continue
        if isinstance(values, str) or total is None or len(values) != total:
            raise ValueError(f'{name} must have one value for each image')
    try:
        json.dumps(metadata)
    except TypeError as error:
        raise ValueError(f'metadata must be values of JSON: {error}') from error

    def entries(failures: list[tuple[str, str]]) -> Iterator[Entry]:
        for row, image in enumerate(images):
            label = None if labels is None else labels[row]
            extra = {} if metadata is None else metadata[row]
            if not isinstance(image, str | bytes | os.PathLike):
                yield Entry(image, None, None, None, label, extra)
                continue
            try:
                yield file_entry(image, label, extra)
            except OSError as error:
                failures.append((absolute(image), str(error)))

    return entries


def folder_entries(
    root: str, labels: Callable[[str], str | None] | str | None = None
) -> tuple[MakeEntries, int]:
    """Entries of a folder's images, and how many; see :meth:`Index.sync`.

    Raises:
        FileNotFoundError: If the folder does not exist.
    """
    unreadable: list[tuple[str, str]] = []
    paths = find_images(root, unreadable)
    name_label = _folder_name if labels == 'folder' else labels

    def entries(failures: list[tuple[str, str]]) -> Iterator[Entry]:
        failures += unreadable
        for path in paths:
            try:
                yield file_entry(path, None if name_label is None else name_label(path))
            except OSError as error:  # it vanished just now
                failures.append((path, str(error)))

    return entries, len(paths)


def _folder_name(path: str) -> str:
    name = os.path.basename(os.path.dirname(path))
    return os.fsencode(name).decode(errors='backslashreplace')  # a label is text


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
        make_entries: From :func:`image_entries` or :func:`folder_entries`.
        total: Number of entries; None where it is unknown.
        root: Items below this folder that are no entry are removed. Defaults to None: none are.
        distributed: Called by all processes of torch.distributed; each embeds its part, the first
            one commits. Defaults to False.
        **options: ``batch_size`` and ``workers`` of :meth:`Retriever.encode`.

    Returns:
        What was done; None of all processes but the first.

    Raises:
        ValueError: If ``root`` is empty where the index has images of it.
        IndexBusyError: If another process is writing.
    """
    storage = index.storage
    rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
    options |= dict(flip=index.flip, progress=rank == 0)
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
        if root is not None:
            below = os.path.join(root, '')
            hidden = tuple(os.path.join(name, '') for name, _ in failures)  # unreadable folders
            vanished = (path for path in present.keys() - seen if path.startswith(below))
            gone |= {present[path][0] for path in vanished if not path.startswith(hidden)}
        if kept or gone:
            storage.commit(staging.blocks(kept), sorted(gone | replaced))
        staging.clear()
        return Change(len(kept), len(gone), unchanged, failures)
