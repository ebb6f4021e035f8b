"""From an official source to a checked folder that a config can read."""

import shlex
import shutil
from pathlib import Path

from dva_mm.datasets.benchmarks import READERS

from .download import download_file, verify
from .sources import SOURCES, File, Source
from .unpack import ARCHIVE_SUFFIXES, unpack_archive


def prepare_data(
    name: str,
    root: str | Path | None = None,
    archives: str | Path | None = None,
    url_base: str | None = None,
    keep_archive: bool = False,
) -> Path:
    """Fetch, verify and unpack a data set, unless it is there already.

    Args:
        name: One of ``SOURCES``.
        root: Folder to unpack to; by default the one that the configs read.
        archives: Folder of the downloaded files; by default ``downloads/NAME`` beside ``root``.
        url_base: Address of a mirror that serves the files under their official names.
        keep_archive: Keep what was downloaded. Files that were there before are always kept.

    Returns:
        ``root``.

    Raises:
        FileNotFoundError: if files are missing that only a person can fetch; says which and where.
        FileExistsError: if ``root`` holds something else.
        ValueError: if ``name`` is unknown, a checksum is wrong, or an archive is unsafe.
        ConnectionError: if a download fails.
    """
    if name not in SOURCES:
        raise ValueError(f'unknown data set {name!r}; known are {", ".join(SOURCES)}')
    source = SOURCES[name]
    root = Path(root or source.root).expanduser()
    print(f'{source.title}: {source.homepage}\nterms: {source.terms}')
    if root.exists() and (root.is_file() or any(root.iterdir())):
        try:
            READERS[source.reader](root)
        except (FileNotFoundError, ValueError) as error:
            raise FileExistsError(
                f'{root} exists, but is no whole {source.title}:\n{error}\n'
                'Move it away and run the same command again; nothing in it was changed'
            ) from error
        print(f'already unpacked: {root}')
        return root
    archives = Path(archives or root.parent / 'downloads' / name).expanduser()
    made = [folder for folder in (archives, archives.parent) if not folder.exists()]
    loaded = fetch(source, archives, url_base)
    _unpack_all(source, archives, root)
    if not keep_archive:
        for path in loaded:
            path.unlink()
    if kept := sorted(path.name for path in archives.iterdir()):
        print(f'kept in {archives}: {", ".join(kept)}')
    for folder in made:
        if not any(folder.iterdir()):
            folder.rmdir()
    return root


def fetch(source: Source, archives: str | Path, url_base: str | None = None) -> list[Path]:
    """Have all files of a source in a folder, verified; download those that are not there.

    A file without a published checksum is compared with ``NAME.sha256`` beside it, which is written
    the first time.

    Returns:
        The files that were downloaded now.

    Raises:
        FileNotFoundError, ValueError, ConnectionError: see :func:`prepare_data`.
    """
    archives = Path(archives)
    archives.mkdir(parents=True, exist_ok=True)
    by_hand = [
        file
        for file in source.files
        if not (file.url or url_base or (archives / file.name).exists())
    ]
    if by_hand:
        checked = all((file.digest or '').startswith('sha256:') for file in by_hand)
        elsewhere = '(a copy from any mirror will do: its SHA-256 is checked)\n' * checked
        raise FileNotFoundError(
            f'{source.title} cannot be downloaded automatically. Get '
            f'{", ".join(file.name for file in by_hand)} from\n  {source.homepage}\n{elsewhere}'
            f'put them, under these names, into\n  {archives.absolute()}\n'
            'and run the same command again: it verifies and unpacks them. (--url-base URL '
            'downloads them from a mirror of your own.)'
        )
    loaded = []
    for file in source.files:
        path = archives / file.name
        digest = file.digest or _remembered(path)
        if path.exists():
            try:
                actual = verify(path, digest)
            except ValueError as error:
                raise ValueError(f'{error}\nMove {path} away and fetch it again') from error
        else:
            url = f'{url_base.rstrip("/")}/{file.name}' if url_base else file.url
            print(f'download {url}')
            try:
                download_file(url, path, digest)
            except ConnectionError as error:
                raise ConnectionError(
                    f'{error}\nOr get {file.name} by hand from {source.homepage}, put it into '
                    f'{archives.absolute()}, and run the same command again'
                ) from error
            loaded.append(path)
            actual = digest or verify(path, None)
        _say(file, path, actual, digest)
    return loaded


def _say(file: File, path: Path, actual: str, digest: str | None) -> None:
    if file.digest:
        print(f'verified {file.name}: {actual}')
    elif digest:
        print(f'verified {file.name} against {_memory(path).name}: {actual}')
    else:
        _memory(path).write_text(f'{actual.removeprefix("sha256:")}  {file.name}\n')
        print(
            f'{file.name}: no checksum is published. It has {actual}; this is kept in '
            f'{_memory(path)}, and later runs compare with it'
        )


def _memory(path: Path) -> Path:
    return path.with_name(f'{path.name}.sha256')


def _remembered(path: Path) -> str | None:
    memory = _memory(path)
    return f'sha256:{memory.read_text().split()[0]}' if memory.exists() else None


def _unpack_all(source: Source, archives: Path, root: Path) -> None:
    """Unpack beside ``root`` and rename at the end, so that ``root`` is never half there."""
    half = root.with_name(f'.{root.name}.unpacking')
    shutil.rmtree(half, ignore_errors=True)  # of a run that was killed
    try:
        half.mkdir(parents=True)
        for file in source.files:
            folder = half / file.place
            if file.name.endswith(ARCHIVE_SUFFIXES):
                unpack_archive(archives / file.name, folder, source.top)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(archives / file.name, folder / file.name)
        if root.exists():
            root.rmdir()  # empty
        half.rename(root)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def train_command(name: str, root: str | Path) -> str:
    """The command that trains on a prepared data set.

    The command that computes boxes, for a data set without them, stands on a line before it.
    """
    source, config = SOURCES[name], f'configs/dva_vit_{name}.py'
    boxes = f'python tools/cache_boxes.py {config} --source attention --split all'
    options = ''
    if Path(root) != Path(source.root):
        # By default the file of boxes is named after the folder, but training looks for this one.
        boxes += f' --out work_dirs/boxes/{Path(source.root).name}_all_attention.jsonl'
        options = f' --cfg-options {shlex.quote(f"data_root={root}")}'
    lines = [] if source.boxes else [boxes + options]
    return '\n'.join([*lines, f'python tools/train.py {config}{options}'])
