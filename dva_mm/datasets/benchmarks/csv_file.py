"""Any CSV file of images."""

import csv
import io
from pathlib import Path

from ..record import Benchmark, Reading, Record
from .files import Box, need, parse_box, read_text

_SPLITS = {  # value of the column -> is_train, is_query
    'train': (True, None),
    'test': (False, None),
    'query': (False, True),
    'gallery': (False, False),
}
_CORNERS = ('x1', 'y1', 'x2', 'y2')


def read_csv(root: str | Path) -> Reading:
    """A CSV file with a header: ``path,label[,split][,x1,y1,x2,y2]``, columns in any order.

    ``path`` is absolute or below the file's folder. ``split`` is train or test, or query and
    gallery for the two parts of a test side. Boxes are in pixels, x2 and y2 the first column and
    row outside; an image may leave all four empty. Classes are in the order of their names, as
    numbers where all of them are numbers.

    An image may stand on several lines, of the same or of different labels: once for each object,
    with its box. Only training looks at boxes, so the test side refuses such images: list each of
    them once there.

    ``root`` is the file, or a folder with a file ``images.csv``; its encoding is UTF-8.
    """
    file = Path(root).expanduser()
    if file.suffix.lower() != '.csv':
        file = file / 'images.csv'
    need(file.parent, (file.name,), CSV_FILE)
    rows: list[tuple[str, str, tuple, Box | None]] = []
    table = csv.DictReader(io.StringIO(read_text(file)), skipinitialspace=True, restval='')
    table.fieldnames = columns = [name.strip() for name in table.fieldnames or ()]
    boxed = [name for name in _CORNERS if name in columns]
    missing = [name for name in ('path', 'label') if name not in columns]
    if missing or len(boxed) not in (0, 4):
        raise ValueError(f'{file} has columns {columns}; expected\n{CSV_FILE.layout}')
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
                f'{place}: expected a path, a label and a split out of {list(_SPLITS)}, got {row}'
            )
        box = _read_box(' '.join(row[name] for name in boxed).strip(), place)
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


def _read_box(corners: str, place: str) -> Box | None:
    if not corners:
        return None
    x1, y1, x2, y2 = box = parse_box(corners, 'four numbers x1, y1, x2 and y2', place)
    if not (x1 < x2 and y1 < y2):
        raise ValueError(
            f'{place}: expected x1 < x2 and y1 < y2, the upper left and the lower right corner, '
            f'got {corners!r}'
        )
    if x2 <= 0 or y2 <= 0:
        raise ValueError(f'{place}: the box {corners!r} lies outside the image')
    return box


CSV_FILE = Benchmark(
    read_csv,
    title='Any CSV file',
    layout="""  ROOT/images.csv, or data_root=ANY/FILE.csv, with a header and one line an image:
  path,label[,split][,x1,y1,x2,y2]
  birds/1.jpg,owl,train,10,20,110,220""",
    name='csv',
)
