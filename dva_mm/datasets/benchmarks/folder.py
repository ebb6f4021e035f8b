"""Any folder of images, and any CSV file of images."""

import csv
from pathlib import Path

from ..record import Reading, Record
from .files import need, parse_numbers

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.ppm')
_SPLITS = {  # value of the column -> is_train, is_query
    'train': (True, None),
    'test': (False, None),
    'query': (False, True),
    'gallery': (False, False),
}
_CORNERS = ('x1', 'y1', 'x2', 'y2')
_CSV_LAYOUT = """  ROOT/images.csv, or data_root=ANY/FILE.csv, with a header and one line an image:
  path,label[,split][,x1,y1,x2,y2]
  birds/1.jpg,owl,train,10,20,110,220"""


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
    return Reading(records, names)


def read_csv(root: str | Path) -> Reading:
    """A CSV file with a header: ``path,label[,split][,x1,y1,x2,y2]``, columns in any order.

    ``path`` is absolute or below the file's folder. ``split`` is train or test, or query and
    gallery for the two parts of a test side. Boxes are in pixels, x2 and y2 the first column and
    row outside; an image may leave all four empty. Classes are in the order of their names, as
    numbers where all of them are numbers.

    An image may stand on several lines, of the same or of different labels: once for each object,
    with its box. Only training looks at boxes, so on the test side such images have one embedding
    and several labels; list each of them once there.

    Args:
        root: The file, or a folder with a file ``images.csv``.

    Raises:
        FileNotFoundError: if there is no such file; names the layout.
        ValueError: if a column is missing or a line is malformed.
    """
    file = Path(root).expanduser()
    if file.suffix.lower() != '.csv':
        file = file / 'images.csv'
    need(file.parent, (file.name,), 'CSV file', 'a list of your own images', _CSV_LAYOUT)
    rows: list[tuple[str, str, tuple, tuple | None]] = []
    with file.open(newline='', encoding='utf-8-sig') as stream:
        table = csv.DictReader(stream, skipinitialspace=True, restval='')
        table.fieldnames = columns = [name.strip() for name in table.fieldnames or ()]
        boxed = [name for name in _CORNERS if name in columns]
        missing = [name for name in ('path', 'label') if name not in columns]
        if missing or len(boxed) not in (0, 4):
            raise ValueError(f'{file} has columns {columns}; expected\n{_CSV_LAYOUT}')
        for row in table:
            place = f'{file}, line {table.line_num}'
            if None in row:
                raise ValueError(f'{place}: more values than the {len(columns)} columns')
            row = {name: value.strip() for name, value in row.items()}
            if not any(row.values()):
                continue
            side = _SPLITS.get(row['split']) if 'split' in row else (None, None)
            if not row['path'] or not row['label'] or side is None:
                raise ValueError(
                    f'{place}: expected a path, a label and a split out of {list(_SPLITS)}, got '
                    f'{row}'
                )
            corners = ' '.join(row[name] for name in boxed).strip()
            box = parse_numbers(corners, 4, 'x1, y1, x2 and y2', place) if corners else None
            rows.append((str(file.parent / row['path']), row['label'], side, box))
    if len({is_query is None for _, _, (is_train, is_query), _ in rows if not is_train}) > 1:
        raise ValueError(f'{file}: split has test beside query and gallery; use one or the other')
    names = sorted({label for _, label, _, _ in rows})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    index = {name: i for i, name in enumerate(names)}
    records = [
        Record(path, index[label], is_train, box, is_query)
        for path, label, (is_train, is_query), box in rows
    ]
    return Reading(records, names)
