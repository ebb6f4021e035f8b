"""Any folder of images: a sub-folder a class, or a folder a side with a sub-folder a class."""

import os
from collections import defaultdict
from pathlib import Path

from ..record import Benchmark, Reading, Record

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.ppm', '.pgm')
IMAGE_SUFFIXES += ('.tif', '.tiff')
_SIDES = dict.fromkeys(('train', 'training'), 'train')
_SIDES |= dict.fromkeys(('val', 'valid', 'validation'), 'val')
_SIDES |= dict.fromkeys(('test', 'testing'), 'test')
_SHOWN = 3


def read_folder(root: str | Path) -> Reading:
    """A folder with one sub-folder a class, as mmpretrain's CustomDataset takes it.

    Classes are the sub-folders in the order of their names; images are found at any depth below.
    There is no official split and there are no boxes.

    Sub-folders ``train``, ``val`` and ``test`` are not classes but an official split, and hold the
    classes: ``train`` and ``val`` train, ``test`` tests; without ``test``, ``val`` tests. Classes
    of the same name on both sides are the same class.

    Links, hidden folders, files beside the classes and files of other kinds are left out, and the
    remarks of the reading say so.

    Raises:
        FileNotFoundError: if the folder does not exist, or holds no sub-folder with images.
        ValueError: if ``train``, ``val`` and ``test`` lie beside other classes, or hold images
            that are in no class.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f'Image folder not found: {root.absolute()}.\nExpected layout:\n{FOLDER.layout}\n'
            'Give the folder with --cfg-options data_root=FOLDER'
        )
    left_out: dict[str, list[str]] = defaultdict(list)
    classes = _classes(root, left_out)
    sides = {name: _SIDES[name.lower()] for name in classes if name.lower() in _SIDES}
    is_split = 'train' in sides.values() and len(set(sides.values())) > 1
    records, names = [], sorted(classes)
    if is_split:
        if others := [name for name in names if name not in sides]:
            raise ValueError(
                f'{root} holds {", ".join(sorted(sides))}, a split, beside {others[0]!r}, a class. '
                'Move one of them elsewhere, or rename the folders if all of them are classes'
            )
        training = {'train', 'val'} if 'test' in sides.values() else {'train'}
        found = []
        for name, side in sides.items():
            loose: dict[str, list[str]] = defaultdict(list)
            of_side = _classes(root / name, loose)
            if images := [path for path in loose['files beside the classes'] if _is_image(path)]:
                raise ValueError(
                    f'{images[0]} is in no class: {root / name} is a side of a split and needs a '
                    f'sub-folder a class.\nExpected layout:\n{FOLDER.layout}'
                )
            found += [(label, side in training, files) for label, files in of_side.items()]
        names = sorted({label for label, _, _ in found})
    else:
        found = [(label, None, files) for label, files in classes.items()]
    if not names:
        raise FileNotFoundError(
            f'{root.absolute()} holds no sub-folder with images '
            f'({", ".join(IMAGE_SUFFIXES)}).\nExpected layout:\n{FOLDER.layout}'
            + ''.join(f'\n{remark}' for remark in _remarks(root, left_out))
        )
    index = {name: i for i, name in enumerate(names)}
    for label, is_train, files in sorted(found):
        records += [Record(file, index[label], is_train, None) for file in files]
    return Reading(records, names, remarks=_remarks(root, left_out))


def _classes(root: Path, left_out: dict[str, list[str]]) -> dict[str, list[str]]:
    """The images of each sub-folder that has some."""
    classes = {}
    for entry in _entries(root, left_out):
        if not entry.is_dir():
            left_out['files beside the classes'].append(entry.path)
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
        elif _is_image(entry.name):
            files.append(entry.path)
        else:
            left_out['files that are no images by their names'].append(entry.path)
    return sorted(files, key=Path)


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
