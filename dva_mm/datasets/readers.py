"""One pure function a data set format: root -> records and class names."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .demo import draw_demo

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.ppm')


class Record(NamedTuple):
    """One image of a data set."""

    path: str
    """Path of the image file."""
    label: int
    """Index into the data set's class names, from 0."""
    is_train: bool | None
    """The official split; None where the data set has none."""
    box: tuple[float, float, float, float] | None
    """The object's x1, y1, x2, y2 in pixels of the image file, or None."""


Reading = tuple[list[Record], list[str]]


def _need(root: Path, names: tuple[str, ...], data_set: str, source: str, layout: str) -> None:
    missing = [name for name in names if not (root / name).exists()]
    if missing:
        raise FileNotFoundError(
            f'{data_set} not found: {root.absolute()} has no {", ".join(missing)}.\n'
            f'Official source: {source}\nExpected layout:\n{layout}\n'
            'Unpack it there, or give its folder with --cfg-options data_root=FOLDER'
        )


_CUB_FILES = (
    'images',
    'images.txt',
    'classes.txt',
    'image_class_labels.txt',
    'train_test_split.txt',
    'bounding_boxes.txt',
)
_CUB_LAYOUT = """  ROOT/images/001.Black_footed_Albatross/*.jpg ...
  ROOT/images.txt  ROOT/classes.txt  ROOT/image_class_labels.txt
  ROOT/train_test_split.txt  ROOT/bounding_boxes.txt"""


def _table(path: Path) -> dict[str, str]:
    """A file of lines ``id value``: id -> the rest of the line."""
    table = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        key, _, value = line.strip().partition(' ')
        if not value:
            raise ValueError(f'{path}, line {number}: expected "id value", got {line!r}')
        table[key] = value
    return table


def read_cub(root: str | Path) -> Reading:
    """CUB-200-2011 (Wah et al., Caltech technical report CNS-TR-2011-001), or its file format.

    The archive's boxes are x, y, width, height in pixels; the records hold x1, y1, x2, y2.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if the lists disagree.
    """
    root = Path(root).expanduser()
    _need(
        root,
        _CUB_FILES,
        'CUB-200-2011',
        'https://www.vision.caltech.edu/datasets/cub_200_2011/ (CUB_200_2011.tgz)',
        _CUB_LAYOUT,
    )
    images = _table(root / 'images.txt')
    classes = _table(root / 'classes.txt')
    labels = _table(root / 'image_class_labels.txt')
    splits = _table(root / 'train_test_split.txt')
    boxes = _table(root / 'bounding_boxes.txt')
    for name, table in (
        ('image_class_labels.txt', labels),
        ('train_test_split.txt', splits),
        ('bounding_boxes.txt', boxes),
    ):
        if table.keys() != images.keys():
            raise ValueError(
                f'{root / name} names {len(table)} images, images.txt {len(images)}, and their ids '
                'differ; unpack the archive again'
            )
    if unknown := set(labels.values()) - classes.keys():
        raise ValueError(
            f'{root}: image_class_labels.txt has classes {sorted(unknown)[:3]} '
            'that classes.txt does not know'
        )
    class_ids = sorted(classes, key=int)
    index = {class_id: i for i, class_id in enumerate(class_ids)}
    records = []
    for image_id, name in images.items():
        try:
            x, y, width, height = (float(value) for value in boxes[image_id].split())
        except ValueError as error:
            raise ValueError(
                f'{root / "bounding_boxes.txt"}, image {image_id}: expected x, y, width and '
                f'height, got {boxes[image_id]!r}'
            ) from error
        records.append(
            Record(
                path=str(root / 'images' / name),
                label=index[labels[image_id]],
                is_train=splits[image_id] == '1',
                box=(x, y, x + width, y + height),
            )
        )
    return records, [classes[class_id] for class_id in class_ids]


def read_folder(root: str | Path) -> Reading:
    """A folder with one sub-folder a class, as mmpretrain's CustomDataset takes it.

    Classes are the sub-folders in the order of their names; images are found at any depth below.
    There is no official split and there are no boxes.

    Raises:
        FileNotFoundError: if the folder does not exist, or holds no sub-folder with images.
    """
    root = Path(root).expanduser()
    layout = '  ROOT/class_a/*.jpg\n  ROOT/class_b/*.jpg ...'
    if not root.is_dir():
        raise FileNotFoundError(
            f'Image folder not found: {root.absolute()}.\nExpected layout:\n{layout}\n'
            'Give the folder with --cfg-options data_root=FOLDER'
        )
    records, names = [], []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        files = sorted(f for f in folder.rglob('*') if f.suffix.lower() in IMAGE_SUFFIXES)
        if files:
            records += [Record(str(file), len(names), None, None) for file in files]
            names.append(folder.name)
    if not names:
        raise FileNotFoundError(
            f'{root.absolute()} holds no sub-folder with images '
            f'({", ".join(IMAGE_SUFFIXES)}).\nExpected layout:\n{layout}'
        )
    return records, names


def read_demo_birds(root: str | Path) -> Reading:
    """The drawn demo birds, in CUB's file format; drawn into ``root`` the first time."""
    return read_cub(draw_demo(root))


READERS: dict[str, Callable[[str | Path], Reading]] = {
    'cub': read_cub,
    'folder': read_folder,
    'demo_birds': read_demo_birds,
}
"""Reader by the name that FineGrainedDataset's ``reader`` takes."""
