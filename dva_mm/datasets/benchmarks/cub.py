"""CUB-200-2011, and the lists it shares with NABirds."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import need, parse_box, read_table

LISTS = ('images', 'classes', 'image_class_labels', 'train_test_split', 'bounding_boxes')


def read_cub(root: str | Path) -> Reading:
    """CUB-200-2011 (Wah et al., Caltech technical report CNS-TR-2011-001), or its file format.

    The archive's boxes are x, y, width, height in pixels; the records hold x1, y1, x2, y2.
    """
    root = Path(root).expanduser()
    need(root, ('images', *(f'{name}.txt' for name in LISTS)), CUB)
    classes = read_table(root / 'classes.txt')
    class_ids = sorted(classes, key=int)
    return Reading(join_lists(root, class_ids), [classes[class_id] for class_id in class_ids])


def join_lists(root: Path, class_ids: list[str]) -> list[Record]:
    """The records that the lists make together; a class's label is the place of its id."""
    tables = {name: read_table(root / f'{name}.txt') for name in LISTS if name != 'classes'}
    images, labels, splits, boxes = tables.values()
    for name, table in tables.items():
        if table.keys() != images.keys():
            raise ValueError(
                f'{root / name}.txt names {len(table)} images, images.txt {len(images)}, and their '
                'ids differ; unpack the archive again'
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
        side = splits[image_id]
        if side not in ('0', '1'):
            raise ValueError(
                f'{root / "train_test_split.txt"}, image {image_id}: expected 1 (training) or 0 '
                f'(test), got {side!r}'
            )
        place = f'{box_file}, image {image_id}'
        x, y, width, height = parse_box(boxes[image_id], 'x, y, width and height', place)
        box = x, y, x + width, y + height
        records.append(Record(folder + name, index[labels[image_id]], side == '1', box))
    return records


CUB = Benchmark(
    read_cub,
    title='CUB-200-2011',
    homepage='https://www.vision.caltech.edu/datasets/cub_200_2011/',
    layout="""  ROOT/images/001.Black_footed_Albatross/*.jpg ...
  ROOT/images.txt  ROOT/classes.txt  ROOT/image_class_labels.txt
  ROOT/train_test_split.txt  ROOT/bounding_boxes.txt""",
    published=Published(
        'Wah et al., CNS-TR-2011-001; open-set: Song et al., arXiv:1511.06452',
        open_classes=(100, 100),
        open_images=(5864, 5924),
        closed_images=(5994, 5794),
    ),
    source=Source(
        terms='Non-commercial research and education; the photographs belong to their '
        'photographers. Cite Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001.',
        root='data/CUB_200_2011',
        files=(
            File(
                'CUB_200_2011.tgz',
                # From TensorFlow Datasets' table; agrees with torchvision's MD5 of the same file.
                'sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081',
            ),
        ),
        base='https://data.caltech.edu/records/65de6-vp158/files/',
        top='CUB_200_2011',
    ),
)
