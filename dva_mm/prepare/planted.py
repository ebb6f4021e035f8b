"""Objects pasted into scenes: a data set with real pixels, true boxes and known clutter."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
from tqdm import tqdm

from dva_mm.datasets.benchmarks import BENCHMARKS
from dva_mm.datasets.box_file import BoxEntry, fingerprint, load_box_file, relative_paths
from dva_mm.datasets.image import image_size

from .pixels import draw_picture
from .plans import Knobs, Plan, plan_pictures

MARKER = 'planted.json'
VERSION = 1  # Raised whenever the same settings make other pictures


def plant(
    objects: str | Path,
    scenes: str | Path,
    out: str | Path,
    knobs: Knobs,
    boxes: str | Path | None = None,
) -> list[BoxEntry]:
    """Plant the images of one folder in those of another, and write a data set for reader 'csv'.

    ``out`` gets ``images.csv`` (path, label, split and box of each picture), ``images/`` and
    ``planted.json``, the settings. It appears complete or not at all; one that is there with the
    same settings is kept. The same settings make the same pictures.

    Args:
        objects: Folder with a sub-folder a class.
        scenes: Folder with a sub-folder a class.
        out: Folder of the data set to be written.
        knobs: How objects are planted.
        boxes: A file of the objects' boxes, as ``dva-mm boxes`` writes it. Default None: an object
            is all of its image.

    Returns:
        The true box of each picture.

    Raises:
        FileNotFoundError: If a folder or the file of boxes is not there.
        ValueError: As :func:`plan_pictures` and the readers; if ``out`` holds something else.
    """
    out = Path(out).expanduser()
    things, places = (BENCHMARKS['folder'].read(folder) for folder in (objects, scenes))
    records = things.records
    if boxes is not None:
        box_of = load_box_file(boxes, objects, [record.path for record in records])
        records = [record._replace(box=box_of[record.path]) for record in records]
    ordered = [r.path for r in sorted(places.records, key=lambda r: (r.label, r.path))]
    plans = plan_pictures(records, things.classes, ordered, knobs)
    used = [relative_paths([record.path for record in records], objects)]
    used.append(relative_paths(ordered, scenes))
    settings = dict(version=VERSION, knobs=json.loads(json.dumps(asdict(knobs))))
    settings |= dict(objects=fingerprint(used[0]), scenes=fingerprint(used[1]))
    settings['boxes'] = fingerprint(map(repr, (record.box for record in records)))
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}.') as scratch:
            folder = Path(scratch) / 'set'
            _write(folder, plans, knobs)
            (folder / MARKER).write_text(json.dumps(settings, indent=1) + '\n')
            os.rename(folder, out)
    marker = out / MARKER
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found != settings:
        held = 'files of another origin' if found is None else f'a set planted with {found}'
        raise ValueError(
            f'{out} holds {held}, but {settings} was asked for; delete it, or choose another --out'
        )
    return _entries(out)


def _write(folder: Path, plans: Sequence[Plan], knobs: Knobs) -> None:
    rows = []
    for plan in tqdm(plans, desc='Planting', unit='picture', mininterval=1):
        picture, box = draw_picture(plan, knobs)
        file = folder / 'images' / plan.name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(file), picture, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise OSError(f'{file} could not be written')
        side = 'train' if plan.is_train else 'test'
        rows.append((f'images/{plan.name}', plan.label, side, *box))
    with (folder / 'images.csv').open('w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([('path', 'label', 'split', 'x1', 'y1', 'x2', 'y2'), *rows])


def _entries(root: Path) -> list[BoxEntry]:
    """The pictures of a planted set with their boxes, for a contact sheet."""
    records = BENCHMARKS['csv'].read(root).records
    names = relative_paths([record.path for record in records], root)
    return [
        BoxEntry(name, *image_size(record.path), *record.box, 1.0, 'planted')
        for name, record in zip(names, records, strict=True)
    ]
