"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkstemp


@contextmanager
def replace_atomically(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    A process killed inside the block leaves the old file whole, and a hidden one beside it.

    Args:
        path: File to write or replace. Its folder is made if need be.

    Raises:
        OSError: If the folder cannot be made or written to.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / 'figures.json'
    >>> with replace_atomically(target) as partial:
    ...     _ = partial.write_text('{}')
    >>> target.read_text()
    '{}'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: torch, safetensors and Pillow choose the format by it.
    descriptor, name = mkstemp(dir=path.parent, prefix=f'.{path.stem}.', suffix=path.suffix)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        with partial.open('rb') as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # temporary files are private
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(path: str | Path, option: str) -> Path:
    """Check, before any long work, that a file can be written; nothing is left behind.

    Args:
        path: File to be written; its folders need not exist.
        option: The option that named it, for the error, such as ``'--out'``.

    Returns:
        The path with ``~`` expanded.

    Raises:
        ValueError: If it is a folder, or its folder cannot be made or written to.

    >>> check_writable('/proc/figures.json', '--out')
    Traceback (most recent call last):
        ...
    ValueError: --out /proc/figures.json cannot be written: No such file or directory
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ValueError(f'{option} {path} is a folder; give a file in it')
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise ValueError(f'{option} {path} cannot be written: {folder} is no folder')
    try:  # permissions alone do not tell: a folder can be read-only for root too
        with TemporaryFile(dir=folder):
            pass
        if path.exists():
            path.open('ab').close()
    except OSError as error:
        raise ValueError(f'{option} {path} cannot be written: {error.strerror}') from error
    return path
