"""Any folder of images: a sub-folder a class, or a folder a side with a sub-folder a class."""

import os
from collections import defaultdict
from pathlib import Path

from ..record import Benchmark, Reading, Record

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.ppm', '.pgm')
IMAGE_SUFFIXES += ('.tif', '.tiff')
_SIDES = dict(train='train', training='train', val='val', valid='val', validation='val')
_SIDES |= dict(test='test', testing='test')
_BESIDE = 'files beside the classes'
_SHOWN = 3


def read_folder(root: str | Path) -> Reading:
    """A folder with one sub-folder a class, as mmpretrain's CustomDataset takes it.

    Classes are the sub-folders in the order of their names; images are found at any depth below.
    There is no official split and there are no boxes.

    Sub-folders ``train``, ``val`` and ``test`` are not classes but an official split, and hold the
    classes: ``train`` and ``val`` train, ``test`` tests; without ``test``, ``val`` tests. Classes
    of the same name on both sides are the same class. Of one side alone the classes are read.

    Links, hidden folders, files beside the classes and files of other kinds are left out, and the
    remarks of the reading say so.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f'Image folder not found: {root.absolute()}.\nExpected layout:\n{FOLDER.layout}\n'
            'Give the folder with --cfg-options data_root=FOLDER'
        )
    left_out: dict[str, list[str]] = defaultdict(list)
    found = [(label, None, files) for label, files in _classes(root, left_out).items()]
    sides = {label: _SIDES[label.lower()] for label, _, _ in found if label.lower() in _SIDES}
    others = [label for label, _, _ in found if label not in sides]
    if len(set(sides.values())) > 1 and others:
        raise ValueError(
            f'{root} holds {", ".join(sides)}, a split, beside {others[0]!r}, a class. '
            'Move one of them elsewhere, or rename the folders if all of them are classes'
        )
    if sides and not others:
        training = ('train', 'val') if 'test' in sides.values() else ('train',)
        found = []
        for name, side in sides.items():
            loose: dict[str, list[str]] = defaultdict(list)
            is_train = side in training if len(sides) > 1 else None
            of_side = _classes(root / name, loose)
            found += [(label, is_train, files) for label, files in of_side.items()]
            if images := [path for path in loose[_BESIDE] if _is_image(path)]:
                raise ValueError(
                    f'{images[0]} is in no class: {root / name} is a side of a split and needs a '
                    f'sub-folder a class; rename it if it is a class.\nExpected layout:\n'
                    f'{FOLDER.layout}'
                )
    names = sorted({label for label, _, _ in found})
    if not names:
        raise FileNotFoundError(
            f'{root.absolute()} holds no sub-folder with images ({", ".join(IMAGE_SUFFIXES)}).\n'
            + '\n'.join([f'Expected layout:\n{FOLDER.layout}', *_remarks(root, left_out)])
        )
    index = {name: i for i, name in enumerate(names)}
    records = [
        Record(path, index[label], side, None) for label, side, paths in found for path in paths
    ]
    return Reading(records, names, remarks=_remarks(root, left_out))


def _classes(root: Path, left_out: dict[str, list[str]]) -> dict[str, list[str]]:
    """The images of each sub-folder that has some."""
    classes = {}
    for entry in _entries(root, left_out):
        if not entry.is_dir():
            left_out[_BESIDE].append(entry.path)
        elif files := _images(entry.path, left_out):
            classes[entry.name] = files
        else:
            left_out['folders without images'].append(entry.path)
    return classes


def _images(folder: str, left_out: dict[str, list[str]]) -> list[str]:
    """The image files at any depth below a folder, in the order of their paths."""
    files = []
    for entry in _entries(folder, left_out):
        if entry.is_dir():
            files += _images(entry.path, left_out)
        elif entry.is_file() and _is_image(entry.name):
            files.append(entry.path)
        else:
            left_out['files that are no images by their names'].append(entry.path)
    return files


def _entries(folder: str | Path, left_out: dict[str, list[str]]) -> list[os.DirEntry]:
    """The files and folders in a folder, by name; no links, nothing hidden."""
    kept = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith('.') or entry.name == '__MACOSX':
            if not entry.is_file() or _is_image(entry.name):  # .DS_Store and its like are no news
                left_out['hidden'].append(entry.path)
        elif entry.is_symlink():
            left_out['links'].append(entry.path)
        else:
            kept.append(entry)
    return kept


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _remarks(root: Path, left_out: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(
        f'left out {len(paths):,} {kind}: '
        + ', '.join(os.path.relpath(path, root) for path in paths[:_SHOWN])
        + ', ...' * (len(paths) > _SHOWN)
        for kind, paths in left_out.items()
    )


FOLDER = Benchmark(
    read_folder,
    title='Any folder of images',
    layout="""  ROOT/class_a/*.jpg
  ROOT/class_b/*.jpg ...
or, with a split,
  ROOT/train/class_a/*.jpg ...
  ROOT/test/class_a/*.jpg ...""",
)
