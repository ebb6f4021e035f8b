"""Unpack archives that nobody has to trust."""

import errno
import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from tqdm import tqdm

ARCHIVE_SUFFIXES = ('.zip', '.tar', '.tar.gz', '.tgz')
_CHUNK = 1 << 20
# A text table packs well; only beyond this does the ratio say anything.
_SLACK = 32 << 20
# Headers are names and numbers; tarfile holds each of them in memory.
_HEADER = 1 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError)
# A compression that zipfile does not know; headers of headers that tarfile gets lost in.
_DAMAGED += (NotImplementedError, RecursionError)


class UnsafeArchiveError(ValueError):
    """An archive that wants to write where, what or how much it must not."""


class Limits(NamedTuple):
    """What an archive may unpack to."""

    total: int = 64 << 30
    """Bytes. Defaults to 64 GiB."""
    files: int = 1_000_000
    """Files and folders. Defaults to a million."""
    ratio: float = 100.0
    """Unpacked over packed bytes, beyond the first 32 MiB. Defaults to 100."""


DEFAULT_LIMITS = Limits()


class _Entry(NamedTuple):
    name: str
    kind: str
    """'file', 'folder', 'link' or what else it is."""
    size: int
    open: Callable[[], IO[bytes]] | None = None
    source: str | None = None
    """Of a link: the path in the archive that it stands for."""


def unpack_archive(
    archive: str | Path, folder: str | Path, top: str = '', limits: Limits = DEFAULT_LIMITS
) -> int:
    """Unpack a zip, tar or tar.gz file into ``folder``, and nowhere else.

    Only names, folders and contents are taken over: no owners, no permissions, no links. A link
    to a file before it in the archive becomes a copy of that file. Nothing in ``folder`` is
    overwritten. After an error ``folder`` holds a part; give an empty one and throw it away then.

    Args:
        archive: The file; its content decides what it is, not its name.
        folder: Where to; made if it does not exist.
        top: The archive's own top folder: what lies in it goes straight into ``folder``.
        limits: See :class:`Limits`. The free space of the disk is a limit too.

    Returns:
        Number of files.

    Raises:
        UnsafeArchiveError: if an entry has an absolute path, leads out of ``folder``, is a device
            or a link to something else than an unpacked file, comes twice, or exceeds a limit.
        ValueError: if the archive is damaged or of another kind.
        OSError: if the disk has no room.
    """
    archive, folder = Path(archive), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    packed = archive.stat().st_size
    most = min(limits.total, int(_SLACK + limits.ratio * packed))
    free = shutil.disk_usage(folder).free
    count = files = written = 0
    try:
        with (
            _entries(archive, most) as entries,
            tqdm(desc=f'unpack {archive.name}', unit=' files') as bar,
        ):
            for entry in entries:
                count += 1
                if count > limits.files:
                    raise UnsafeArchiveError(f'it holds more than {limits.files:,} entries')
                path = folder / _inside(entry.name, top)
                origin = None if entry.source is None else folder / _inside(entry.source, top)
                if origin is not None and not origin.is_file():
                    raise UnsafeArchiveError(
                        f'{entry.name!r} is a link to {entry.source!r}, which is no file before it '
                        'in the archive'
                    )
                written += entry.size if origin is None else origin.stat().st_size
                if written > most:
                    raise UnsafeArchiveError(
                        f'it unpacks to more than {most:,} bytes, from {packed:,} packed ones'
                    )
                if written > free:
                    raise OSError(
                        errno.ENOSPC, f'no room to unpack: {free:,} bytes are free', str(folder)
                    )
                try:
                    _write(entry, path, origin)
                except (FileExistsError, NotADirectoryError):
                    raise UnsafeArchiveError(f'{entry.name!r} is there already') from None
                files += entry.kind != 'folder'
                bar.update(entry.kind != 'folder')
    except UnsafeArchiveError as error:
        raise UnsafeArchiveError(f'{archive} is not safe to unpack: {error}') from error
    except _DAMAGED as error:
        raise ValueError(
            f'{archive} is damaged or no zip, tar or tar.gz file ({error}); fetch it again'
        ) from error
    return files


def _write(entry: _Entry, path: Path, origin: Path | None) -> None:
    if entry.kind == 'folder':
        path.mkdir(parents=True, exist_ok=True)
        return
    if entry.kind not in ('file', 'link'):
        raise UnsafeArchiveError(f'{entry.name!r} is a {entry.kind}')
    path.parent.mkdir(parents=True, exist_ok=True)
    # 'x' neither overwrites a file nor follows a link that is there.
    with open(path, 'xb') as out, entry.open() if origin is None else open(origin, 'rb') as content:
        shutil.copyfileobj(content, out, _CHUNK)


def _inside(name: str, top: str) -> PurePosixPath:
    """The relative path of an entry, or an error if it could lead anywhere else."""
    windows = PureWindowsPath(name)
    if '\0' in name or '\\' in name or windows.anchor or '..' in windows.parts:
        raise UnsafeArchiveError(f'{name!r} leads out of the folder')
    path = PurePosixPath(name)
    return path.relative_to(top) if top and path.is_relative_to(top) else path


@contextmanager
def _entries(archive: Path, most: int) -> Iterator[Iterator[_Entry]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _zip_entries(file)
        return
    with open(archive, 'rb') as raw:
        packed = raw.read(2) == b'\x1f\x8b'
        raw.seek(0)
        stream = _Bounded(gzip.GzipFile(fileobj=raw) if packed else raw, most)
        with tarfile.open(fileobj=stream, mode='r|') as file:
            yield _tar_entries(file, stream)
        stream.start_content()
        while stream.read(_CHUNK):  # gzip compares its checksum at the very end
            pass


def _zip_entries(file: zipfile.ZipFile) -> Iterator[_Entry]:
    for info in file.infolist():
        if info.is_dir():
            yield _Entry(info.filename, 'folder', 0)
            continue
        mode = info.external_attr >> 16
        kind = 'file' if stat.S_IFMT(mode) in (0, stat.S_IFREG) else 'link or special file'
        if info.flag_bits & 1:
            kind = 'file with a password'
        yield _Entry(info.filename, kind, info.file_size, lambda info=info: file.open(info))


def _tar_entries(file: tarfile.TarFile, stream: '_Bounded') -> Iterator[_Entry]:
    for member in file:
        stream.start_content()
        if member.isdir():
            yield _Entry(member.name, 'folder', 0)
        elif member.islnk():
            yield _Entry(member.name, 'link', 0, source=member.linkname)
        elif member.issym():
            # A symbolic link is relative to its own folder; '..' is refused even where it would
            # stay inside, since official archives have no need of it.
            source = str(PurePosixPath(member.name).parent / member.linkname)
            yield _Entry(member.name, 'link', 0, source=source)
        elif member.isreg() and member.sparse is None:
            yield _Entry(
                member.name, 'file', member.size, lambda member=member: file.extractfile(member)
            )
        else:
            yield _Entry(member.name, 'device or special file', 0)
        stream.start_header()


class _Bounded:
    """A stream that ends in an error after so many bytes, of a header or in all.

    Headers of a tar file may be of any length, and tarfile reads them into memory.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream = stream
        self.left = 2 * most + _SLACK  # headers and padding on top of the contents
        self.start_header()

    def start_header(self) -> None:
        """From now on there is a header to read, and only the padding of a file before it."""
        self.after_header = self.left - _HEADER

    def start_content(self) -> None:
        """From now on there is the content of a file to read."""
        self.after_header = 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise UnsafeArchiveError('it unpacks to far more than its entries say')
        if self.left < self.after_header:
            raise UnsafeArchiveError(f'it has a header of more than {_HEADER:,} bytes')
        return data
