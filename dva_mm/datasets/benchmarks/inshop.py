"""In-Shop Clothes Retrieval, a part of DeepFashion."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import Box, from_one_based, need, parse_box, read_columns

_STATUS = ('train', 'query', 'gallery')


def read_inshop(root: str | Path) -> Reading:
    """In-Shop Clothes Retrieval (Liu et al., DeepFashion, CVPR 2016).

    A class is one item of clothing; the super-class is the folder of its first image, such as
    'WOMEN/Dresses'. The official split is open-set, and its test side has queries and a gallery.
    The boxes are those of the small pictures (``img.zip``); without their file there are none. The
    data set does not say whether their corners count from 0 or from 1: here the first pixel is
    taken to be 1, and x_2 and y_2 to lie inside. If that is wrong, boxes are a pixel off.
    """
    root = Path(root).expanduser()
    partition = _either(root, 'Eval/list_eval_partition.txt', 'list_eval_partition.txt')
    images = _either(root, 'Img/img', 'img')
    need(root, (partition, images), INSHOP)
    path = root / partition
    entries: list[tuple[str, str, str]] = []
    items: dict[str, tuple[bool, str]] = {}
    columns = 'image_name item_id evaluation_status'
    for number, (file, item, status) in read_columns(path, columns, skip=2):
        if status not in _STATUS:
            raise ValueError(f'{path}, line {number}: status {status!r} is none of {_STATUS}')
        is_train, _ = items.setdefault(item, (status == 'train', '/'.join(file.split('/')[1:-2])))
        if is_train != (status == 'train'):
            raise ValueError(f'{path}, line {number}: item {item} is on both sides')
        entries.append((file, item, status))
    boxes = _read_boxes(root / _either(root, 'Anno/list_bbox_inshop.txt', 'list_bbox_inshop.txt'))
    names = sorted(items)
    index = {item: i for i, item in enumerate(names)}
    folder = f'{(root / images).parent}/'
    records = []
    for file, item, status in entries:
        if boxes and file not in boxes:
            raise ValueError(f'{root}: list_bbox_inshop.txt lacks {file}')
        is_train, is_query = status == 'train', None if status == 'train' else status == 'query'
        records.append(Record(folder + file, index[item], is_train, boxes.get(file), is_query))
    return Reading(records, names, [items[item][1] for item in names])


def _either(root: Path, name: str, other: str) -> str:
    """``other`` where only that exists, else ``name``."""
    return other if not (root / name).exists() and (root / other).exists() else name


def _read_boxes(path: Path) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    if path.exists():
        columns, named = (
            'image_name clothes_type pose_type x_1 y_1 x_2 y_2',
            'x_1, y_1, x_2 and y_2',
        )
        for number, (file, _, _, *corners) in read_columns(path, columns, skip=2):
            numbers = parse_box(' '.join(corners), named, f'{path}, line {number}')
            boxes[file] = from_one_based(*numbers)
    return boxes


INSHOP = Benchmark(
    read_inshop,
    title='In-Shop Clothes Retrieval',
    homepage='https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html',
    layout="""  ROOT/Eval/list_eval_partition.txt (also found in ROOT)
  ROOT/Img/img/WOMEN/Dresses/id_00000002/*.jpg ... (img.zip; ROOT/img also serves)
  ROOT/Anno/list_bbox_inshop.txt (optional, also found in ROOT)""",
    published=Published(
        'Liu et al., CVPR 2016',
        open_classes=(3997, 3985),
        open_images=(25882, 26830),
        queries=14218,
    ),
    source=Source(
        terms='Non-commercial research only, from a Google Drive folder. Cite Liu et al., '
        'DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations, '
        'CVPR 2016.',
        root='data/In-shop',
        files=(
            File('img.zip', place='Img'),
            File('list_eval_partition.txt', place='Eval'),
            File('list_bbox_inshop.txt', place='Anno'),
        ),
    ),
)
