"""The lock of an index's writers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .items import IndexBusyError


@contextmanager
def write_lock(file: str | Path, name: object) -> Iterator[None]:
    """Hold a lock file while the block runs.

    Args:
        file: The lock file.
        name: What the error calls the index.

    Raises:
        IndexBusyError: If another process holds it.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise IndexBusyError(
            f'another process is writing to {name}; wait until it has finished. Searching goes '
            'on meanwhile'
        ) from error
    try:
        yield
    finally:
        lock.release()
