"""CUB-200-2011, and the lists it shares with NABirds."""

from pathlib import Path

from ..record import Reading, Record
from .files import need, parse_numbers, read_table

_FILES = (
    'images',
    'images.txt',
    'classes.txt',
    'image_class_labels.txt',
    'train_test_split.txt',
    'bounding_boxes.txt',
)
_LAYOUT = """  ROOT/images/001.Black_footed_Albatross/*.jpg ...
  ROOT/images.txt  ROOT/classes.txt  ROOT/image_class_labels.txt
  ROOT/train_test_split.txt  ROOT/bounding_boxes.txt"""


def read_cub(root: str | Path) -> Reading:
    """CUB-200-2011 (Wah et al., Caltech technical report CNS-TR-2011-001), or its file format.

    The archive's boxes are x, y, width, height in pixels; the records hold x1, y1, x2, y2.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if the lists disagree.
    """
    root = Path(root).expanduser()
    source = 'https://www.vision.caltech.edu/datasets/cub_200_2011/ (CUB_200_2011.tgz)'
    need(root, _FILES, 'CUB-200-2011', source, _LAYOUT)
    classes = read_table(root / 'classes.txt')
    class_ids = sorted(classes, key=int)
    return Reading(join_lists(root, class_ids), [classes[class_id] for class_id in class_ids])


def join_lists(root: Path, class_ids: list[str]) -> list[Record]:
    """The records that the lists of images, labels, sides and boxes make together.

    Args:
        root: Folder of the lists.
        class_ids: Id of each class; its place is the label.

    Raises:
        ValueError: if the lists disagree.
    """
    images = read_table(root / 'images.txt')
    labels = read_table(root / 'image_class_labels.txt')
    splits = read_table(root / 'train_test_split.txt')
    boxes = read_table(root / 'bounding_boxes.txt')
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
    if unknown := set(labels.values()) - set(class_ids):
        raise ValueError(
            f'{root}: image_class_labels.txt has classes {sorted(unknown)[:3]} '
            'that classes.txt does not know'
        )
    index = {class_id: i for i, class_id in enumerate(class_ids)}
    folder, box_file = f'{root / "images"}/', root / 'bounding_boxes.txt'
    records = []
    for image_id, name in images.items():
        if splits[image_id] not in ('0', '1'):
            raise ValueError(
                f'{root / "train_test_split.txt"}, image {image_id}: expected 1 (training) or 0 '
                f'(test), got {splits[image_id]!r}'
            )
        place = f'{box_file}, image {image_id}'
        x, y, width, height = parse_numbers(boxes[image_id], 4, 'x, y, width and height', place)
        records.append(
            Record(
                path=folder + name,
                label=index[labels[image_id]],
                is_train=splits[image_id] == '1',
                box=(x, y, x + width, y + height),
            )
        )
    return records
