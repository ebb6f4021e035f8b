"""From an official source to a checked folder that a config can read."""

import shlex
import shutil
from pathlib import Path

from dva_mm.datasets.benchmarks import BENCHMARKS
from dva_mm.datasets.record import Benchmark

from .download import download_file, verify
from .unpack import ARCHIVE_SUFFIXES, unpack_archive


def prepare_benchmark(
    name: str,
    root: str | Path | None = None,
    archives: str | Path | None = None,
    url_base: str | None = None,
    keep_archive: bool = False,
) -> Path:
    """Fetch, verify and unpack a data set, unless it is there already.

    A file without a published checksum is compared with ``NAME.sha256`` beside it. That is written
    the first time, after the reader has read what was unpacked.

    Args:
        name: One of ``BENCHMARKS`` with a source.
        root: Folder to unpack to; by default the one that the configs read.
        archives: Folder of the downloaded files; by default ``downloads/NAME`` beside ``root``.
        url_base: Address of a mirror that serves the files under their official names.
        keep_archive: Keep what was downloaded. Files that were there before are always kept.

    Returns:
        ``root``.

    Raises:
        FileNotFoundError: If files are missing that only a person can fetch.
        FileExistsError: If ``root`` holds something else.
        ValueError: If ``name`` is unknown, a checksum is wrong, or an archive is unsafe, damaged
            or not the data set.
        ConnectionError: If a download fails.

    >>> prepare_benchmark('folder')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: 'folder' cannot be fetched, only aircraft, cars, cub, dogs, flowers, inshop, ...
    """
    known = [key for key, benchmark in BENCHMARKS.items() if benchmark.source]
    if name not in known:
        raise ValueError(f'{name!r} cannot be fetched, only {", ".join(known)}')
    benchmark = BENCHMARKS[name]
    root = Path(root or benchmark.source.root).expanduser()
    print(f'{benchmark.title}: {benchmark.homepage}\nterms: {benchmark.source.terms}')
    if root.exists() and (root.is_file() or any(root.iterdir())):
        try:
            benchmark.read(root)
        except (FileNotFoundError, ValueError) as error:
            raise FileExistsError(
                f'{root} exists, but is no whole {benchmark.title}:\n{error}\n'
                'Move it away and run the same command again; nothing in it was changed'
            ) from error
        print(f'already unpacked: {root}')
        return root
    archives = Path(archives or root.parent / 'downloads' / name).expanduser()
    made = [folder for folder in (archives, archives.parent) if not folder.exists()]
    loaded = _fetch(benchmark, archives, url_base)
    _unpack_all(benchmark, archives, root)
    for file in benchmark.source.files:
        memory = _memory(archives / file.name)
        if not (file.digest or memory.exists()):
            digest = verify(archives / file.name, None).removeprefix('sha256:')
            memory.write_text(f'{digest}  {file.name}\n')
            print(f'{file.name}: no checksum is published; later runs compare with {memory}')
    for path in [] if keep_archive else loaded:
        path.unlink()
    if kept := sorted(path.name for path in archives.iterdir()):
        print(f'kept in {archives}: {", ".join(kept)}')
    for folder in made:
        if not any(folder.iterdir()):
            folder.rmdir()
    return root


def _fetch(benchmark: Benchmark, archives: Path, url_base: str | None) -> list[Path]:
    """Have all files in the folder, verified; returns those that were downloaded now."""
    archives.mkdir(parents=True, exist_ok=True)
    base = url_base or benchmark.source.base
    missing = [file for file in benchmark.source.files if not (archives / file.name).exists()]
    if missing and not base:
        checked = all(file.digest and file.digest.startswith('sha256:') for file in missing)
        elsewhere = '(a copy from any mirror will do: its SHA-256 is checked)\n' * checked
        raise FileNotFoundError(
            f'{benchmark.title} cannot be downloaded automatically. Get '
            f'{", ".join(file.name for file in missing)} from\n  {benchmark.homepage}\n{elsewhere}'
            f'put them, under these names, into\n  {archives.absolute()}\n'
            'and run the same command again, or give a mirror of your own with --url-base URL'
        )
    loaded = []
    for file in benchmark.source.files:
        path, digest = archives / file.name, file.digest
        memory = _memory(path)
        if not digest and memory.exists():
            digest = f'sha256:{memory.read_text().split()[0]}'
        if path.exists():
            try:
                verify(path, digest)
            except ValueError as error:
                newer = '' if file.digest else f'; if it is a newer edition, remove {memory.name}'
                raise ValueError(f'{error}\nMove {path} away and fetch it again{newer}') from error
        else:
            url = f'{base.rstrip("/")}/{file.name}'
            print(f'download {url}')
            try:
                download_file(url, path, digest)
            except ConnectionError as error:
                raise ConnectionError(
                    f'{error}\nOr get {file.name} by hand from {benchmark.homepage}, put it into '
                    f'{archives.absolute()}, and run the same command again'
                ) from error
            loaded.append(path)
        if digest:
            print(f'verified {file.name}: {digest}')
    return loaded


def _memory(path: Path) -> Path:
    return path.with_name(f'{path.name}.sha256')


def _unpack_all(benchmark: Benchmark, archives: Path, root: Path) -> None:
    """Unpack beside ``root`` and rename at the end, so that ``root`` is never half there."""
    half = root.with_name(f'.{root.name}.unpacking')
    shutil.rmtree(half, ignore_errors=True)  # of a run that was killed
    try:
        half.mkdir(parents=True)
        for file in benchmark.source.files:
            folder = half / file.place
            if file.name.endswith(ARCHIVE_SUFFIXES):
                unpack_archive(archives / file.name, folder, benchmark.source.top)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(archives / file.name, folder / file.name)
        try:
            benchmark.read(half)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(
                f'what lies in {archives} is no whole {benchmark.title}:\n{error}\n'
                'Move the damaged file away and fetch it again'
            ) from error
        if root.exists():
            root.rmdir()  # empty
        half.rename(root)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def train_command(name: str, root: str | Path) -> str:
    """Write the command that trains on a prepared data set.

    The command that computes boxes, for a data set without them, stands on a line before it.

    >>> train_command('cub', '/data/cub')
    'python tools/train.py configs/dva_vit_cub.py --cfg-options data_root=/data/cub'
    """
    source, config = BENCHMARKS[name].source, f'configs/dva_vit_{name}.py'
    boxes = f'python tools/cache_boxes.py {config} --detector type=AttentionBoxes --split all'
    options = ''
    if Path(root) != Path(source.root):
        # By default the file of boxes is named after the folder, but training looks for this one.
        boxes += f' --out work_dirs/boxes/{Path(source.root).name}_all_attention.jsonl'
        options = f' --cfg-options {shlex.quote(f"data_root={root}")}'
    lines = [] if source.boxes else [boxes + options]
    return '\n'.join([*lines, f'python tools/train.py {config}{options}'])
