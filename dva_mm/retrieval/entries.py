"""Images, or a folder of them, as the entries that an index shall have."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .images import find_images
from .items import absolute
from .staging import Entry, file_entry

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
        if isinstance(values, str | dict) or total is None or len(values) != total:
            raise ValueError(
                f'{name} must be a list of one value for each image, got {values!r:.80}'
            )
    if any(not isinstance(extra, dict) for extra in metadata or ()):
        raise ValueError(f'metadata must be a dict for each image, got {metadata!r:.80}')
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
