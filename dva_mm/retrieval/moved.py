"""Files that were moved or renamed: they keep what an index knows of them."""

import os
from collections.abc import Iterable

from .staging import Entry

UNCOMPRESSED = ('.bmp', '.ppm', '.tif', '.tiff')
"""Endings of files whose size says little of what they show."""
SECOND = 10**9


def match_moved(
    new: Iterable[Entry], vanished: dict[str, tuple[int, int, int]]
) -> dict[str, tuple[str, int]]:
    """Find the new files that are vanished ones at another place.

    A file that is moved keeps its size and its time of change, in nanoseconds. A time of whole
    seconds, which archives and cameras give, is shared by many files: then the name must be the
    same, and the file no uncompressed picture. Of several files that fit, none is taken.

    Args:
        new: Entries of files that are not in the index.
        vanished: Of each file that is no longer there: id, size and time, by path.

    Returns:
        The old path and the id, by the new path.

    >>> entry = Entry('/b/1.jpg', '/b/1.jpg', 50_000, 1_700_000_000_123_456_789, None, {})
    >>> match_moved([entry], {'/a/9.jpg': (4, 50_000, 1_700_000_000_123_456_789)})
    {'/b/1.jpg': ('/a/9.jpg', 4)}
    """
    arrived: dict[tuple, list[str]] = {}
    for entry in new:
        if entry.path is not None:
            key = _identity(entry.path, entry.size, entry.time)
            arrived.setdefault(key, []).append(entry.path)
    left: dict[tuple, list[str]] = {}
    for path, (_, size, time) in vanished.items():
        left.setdefault(_identity(path, size, time), []).append(path)
    return {
        paths[0]: (left[key][0], vanished[left[key][0]][0])
        for key, paths in arrived.items()
        if len(paths) == 1 and len(left.get(key, ())) == 1
    }


def _identity(path: str, size: int, time: int) -> tuple:
    if time % SECOND:
        return size, time
    name = os.path.basename(path)
    is_plain = name.lower().endswith(UNCOMPRESSED)
    return size, time, path if is_plain else name
