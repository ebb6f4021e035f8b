"""The loop from images to a file of boxes: sharded over processes, and resumable.

Each process appends to its own ``OUT.shard-I-of-N.partial``, batch by batch; the last to finish
merges them. A killed process is started again with the same command.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from tqdm import tqdm

from dva_mm.datasets.box_file import (
    FALLBACK,
    BoxEntry,
    image_root,
    make_header,
    parse_entry,
    read_header,
    relative_paths,
    write_box_file,
)
from dva_mm.datasets.boxes import clip_box
from dva_mm.datasets.image import image_size
from dva_mm.files import replace_atomically

from .source import BoxSource, Detection


def cache_boxes(
    source: BoxSource,
    data_root: str | Path,
    paths: Sequence[str | Path],
    out: str | Path,
    batch_size: int = 32,
    num_workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> bool:
    """Find each image's box, write the file of boxes, and return whether all shards are done.

    Where the source finds nothing, the entry is the whole image, score 0, source 'fallback'.

    Args:
        source: Where the boxes come from.
        data_root: Folder of the data set.
        paths: Image files below it; one that is listed twice is looked at once.
        out: File to write. If it is there already with the same header, nothing is done.
        batch_size: Images a forward. Defaults to 32.
        num_workers: Processes that read images. Defaults to 0: this one.
        shard: (I, N): take every N-th image from the I-th on, I from 0. Defaults to (0, 1).

    Raises:
        ValueError: If ``out`` or a partial file was made with other options or for other images,
            or an image cannot be read.

    >>> import tempfile
    >>> from dva_mm.detection.sources import AnnotationBoxes
    >>> root = Path(tempfile.mkdtemp())
    >>> _ = (root / 'a.pgm').write_bytes(b'P5 20 10 255 ' + bytes(200))
    >>> cache_boxes(AnnotationBoxes([]), root, [root / 'a.pgm'], root / 'boxes.jsonl')
    True
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f'shard must be I/N with 0 <= I < N, got {index}/{count}')
    out = Path(out).expanduser()
    images = sorted(set(relative_paths(paths, data_root)))
    header = make_header(source.source, source.options, images)
    header = json.loads(json.dumps(header))  # what it compares equal to when it is read
    if out.exists():
        _check_header(out, read_header(out), header)
        return True
    out.parent.mkdir(parents=True, exist_ok=True)
    part = _part(out, index, count)
    done = _resume(part, header)
    todo = [image for image in images[index::count] if image not in done]
    read = partial(_read, root=image_root(data_root), prepare=source.prepare)  # in the workers
    loader = DataLoader(todo, batch_size, num_workers=num_workers, collate_fn=read)
    with (
        part.open('a', encoding='utf-8') as file,
        tqdm(total=len(done) + len(todo), initial=len(done), desc=source.source) as progress,
    ):
        for batch in loader:
            names, sizes, inputs = zip(*batch, strict=True)
            found = source.detect(inputs, sizes)
            for name, size, detection in zip(names, sizes, found, strict=True):
                entry = make_entry(name, size, detection, source.source)
                file.write(json.dumps(asdict(entry)) + '\n')
            file.flush()
            progress.update(len(batch))
    return _merge(out, header, images, count)


def _read(images: list[str], root: Path, prepare: Callable[[Path], Any]) -> list[tuple]:
    """(relative path, (width, height), input) of each image."""
    return [(image, image_size(root / image), prepare(root / image)) for image in images]


def make_entry(
    image: str, size: tuple[int, int], detection: Detection | None, source: str
) -> BoxEntry:
    """The entry of a detection, rounded and cut to the image; a fallback where nothing is left.

    >>> make_entry('a.jpg', (20, 10), Detection((-3, 1, 9, 8), score=0.5), 'mine').box
    (0.0, 1.0, 9.0, 8.0)
    """
    width, height = size
    if detection and clip_box(detection.box, height, width):
        x1, y1, x2, y2 = (round(float(value), 2) for value in detection.box)
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        if x1 < x2 and y1 < y2:
            score = round(float(detection.score), 6)
            return BoxEntry(image, width, height, x1, y1, x2, y2, score, source)
    return BoxEntry(image, width, height, 0, 0, width, height, 0.0, FALLBACK)


def _part(out: Path, index: int, count: int) -> Path:
    return out.with_name(f'{out.name}.shard-{index}-of-{count}.partial')


def _check_header(file: Path, found: dict, wanted: dict) -> None:
    for name in ('source', 'options', 'num_images', 'fingerprint'):
        if found.get(name) != wanted[name]:
            raise ValueError(
                f'{file} was made with {name}={found.get(name)}, this run has '
                f'{name}={wanted[name]}; delete it, or choose another --out'
            )


def _resume(part: Path, header: dict) -> dict[str, BoxEntry]:
    """The entries of a partial file, cut back to its last whole line; a new one has none."""
    whole = part.read_bytes().rpartition(b'\n')[0] if part.exists() else b''
    if not whole:
        with replace_atomically(part) as begun:  # a shard that merges sees the whole header
            begun.write_text(json.dumps(header) + '\n', encoding='utf-8')
        return {}
    os.truncate(part, len(whole) + 1)
    return _read_part(part, header) or {}


def _read_part(part: Path, header: dict) -> dict[str, BoxEntry] | None:
    """The entries of a partial file; None of one without a whole header, which has not begun."""
    lines = part.read_bytes().split(b'\n')[:-1]  # what follows the last newline is not whole yet
    if not lines:
        return None
    _check_header(part, read_header(part), header)
    entries = {}
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = parse_entry(line.decode())
        except ValueError as error:
            raise ValueError(
                f'{part}, line {number}: {error}; delete it and run the shard that wrote it again'
            ) from error
        entries[entry.image] = entry
    return entries


def _merge(out: Path, header: dict, images: list[str], count: int) -> bool:
    parts = [_part(out, index, count) for index in range(count)]
    try:
        found = [_read_part(part, header) for part in parts]
    except FileNotFoundError:  # not begun yet, or another process has just merged
        return out.exists()
    if None in found:
        return False
    entries = {image: entry for part in found for image, entry in part.items()}
    if entries.keys() != set(images):
        return False
    write_box_file(out, header, entries.values())
    for part in parts:
        part.unlink(missing_ok=True)
    return True
