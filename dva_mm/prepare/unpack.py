"""Unpack archives with the standard library, within limits of size."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

ARCHIVE_SUFFIXES = ('.zip', '.tar', '.tar.gz', '.tgz')
_CHUNK = 1 << 20
# A text table packs well; only beyond this does the ratio say anything.
_SLACK = 32 << 20
# What damaged archives make tarfile, zipfile and zlib raise; a password: RuntimeError.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError)


class UnsafeArchiveError(ValueError):
    """An archive that wants to write where, what or how much it must not."""


def unpack_archive(
    archive: str | Path,
    folder: str | Path,
    top: str = '',
    max_bytes: int = 64 << 30,
    max_ratio: float = 100.0,
) -> None:
    """Unpack a zip, tar or tar.gz file into ``folder``, and nowhere else.

    Devices, and paths and links that lead out, are refused. After an error ``folder`` holds a part:
    give an empty one, and throw it away then.

    Args:
        archive: The file; its content decides what it is, not its name.
        folder: Where to; made if it does not exist.
        top: The archive's own top folder: what lies in it goes straight into ``folder``.
        max_bytes: Most bytes to write. Defaults to 64 GiB.
        max_ratio: Most bytes to write for each packed one, beyond the first 32 MiB.

    Raises:
        UnsafeArchiveError: If an entry leads out of ``folder`` or the limits are exceeded.
        ValueError: If the archive is damaged or of another kind.
        RuntimeError: If this Python's tarfile has no filters: before 3.11.4.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / 'birds.zip', 'w') as file:
    ...     file.writestr('birds/1.txt', 'owl')
    >>> unpack_archive(folder / 'birds.zip', folder / 'out', top='birds')
    >>> (folder / 'out' / '1.txt').read_text()
    'owl'
    """
    if not hasattr(tarfile, 'data_filter'):
        raise RuntimeError("unpacking needs tarfile's filters: use Python 3.11.4 or later")
    archive, folder = Path(archive), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    packed = archive.stat().st_size
    left = most = min(max_bytes, int(_SLACK + max_ratio * packed))
    try:
        with tqdm(desc=f'unpack {archive.name}', unit=' files') as bar:
            for size in _unpack(archive, folder, top):
                left -= size
                if left < 0:
                    raise UnsafeArchiveError(
                        f'it unpacks to more than {most:,} bytes, from {packed:,} packed ones'
                    )
                bar.update()
    except (UnsafeArchiveError, tarfile.FilterError) as error:
        raise UnsafeArchiveError(f'{archive} is not safe to unpack: {error}') from error
    except (*_DAMAGED, RuntimeError) as error:
        raise ValueError(
            f'{archive} is damaged or no zip, tar or tar.gz file ({error}); fetch it again'
        ) from error


def _unpack(archive: Path, folder: Path, top: str) -> Iterator[int]:
    """Yield the size of each entry before it is written."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                yield info.file_size
                name, is_folder = _below(info.filename, top), info.is_dir()
                # zipfile leaves these parts out. Where a name has no other, its versions differ.
                parts = set(name.split('/'))
                if parts <= {'', '.', '..'}:
                    if is_folder and '..' not in parts:
                        continue  # the folder itself
                    raise UnsafeArchiveError(f'{name!r} does not name a file in it')
                info.filename = name + '/' * is_folder
                file.extract(info, folder)
        return
    with open(archive, 'rb') as raw:
        packed = raw.read(2) == b'\x1f\x8b'
    with (gzip.open if packed else open)(archive, 'rb') as stream:
        with tarfile.open(fileobj=stream, mode='r:') as file:
            for member in file:
                yield member.size
                member.name = _below(member.name, top)
                if member.islnk():
                    member.linkname = _below(member.linkname, top)
                file.extract(member, folder, filter='data')
        while stream.read(_CHUNK):  # gzip compares its checksum at the very end
            pass


def _below(name: str, top: str) -> str:
    """An entry's name without the top folder."""
    path = PurePosixPath(name)
    return str(path.relative_to(top)) if top and path.is_relative_to(top) else name
