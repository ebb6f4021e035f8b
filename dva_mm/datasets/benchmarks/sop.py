"""Stanford Online Products."""

from pathlib import Path

from ..record import Reading, Record
from .files import need, read_columns

_COLUMNS = 'image_id class_id super_class_id path'
_LAYOUT = """  ROOT/Ebay_train.txt  ROOT/Ebay_test.txt
  ROOT/bicycle_final/*.JPG  ROOT/cabinet_final/*.JPG ..."""


def read_sop(root: str | Path) -> Reading:
    """Stanford Online Products (Song et al., CVPR 2016, https://arxiv.org/abs/1511.06452).

    A class is one product; the 12 kinds of product are the super-classes. The official split is
    open-set. There are no boxes.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if a list is malformed or a product is on both sides.
    """
    root = Path(root).expanduser()
    source = 'https://cvgl.stanford.edu/projects/lifted_struct/ (Stanford_Online_Products.zip)'
    need(root, ('Ebay_train.txt', 'Ebay_test.txt'), 'Stanford Online Products', source, _LAYOUT)
    entries: list[tuple[str, int, bool]] = []
    kinds: dict[int, tuple[bool, str]] = {}
    for side in ('train', 'test'):
        path = root / f'Ebay_{side}.txt'
        for number, (_, class_id, _, file) in read_columns(path, _COLUMNS, skip=1):
            kind = side == 'train', file.partition('/')[0].removesuffix('_final')
            if not class_id.isdecimal():
                raise ValueError(f'{path}, line {number}: {class_id!r} is no class_id')
            if kinds.setdefault(int(class_id), kind) != kind:
                raise ValueError(
                    f'{path}, line {number}: class {class_id} is on both sides, or is both a '
                    f'{kind[1]} and a {kinds[int(class_id)][1]}'
                )
            entries.append((file, int(class_id), side == 'train'))
    index = {class_id: i for i, class_id in enumerate(sorted(kinds))}
    folder = f'{root}/'  # one Path an image would take most of the time
    records = [
        Record(folder + file, index[class_id], is_train, None)
        for file, class_id, is_train in entries
    ]
    super_classes = [kinds[class_id][1] for class_id in index]
    names = [f'{kind}_{class_id}' for class_id, kind in zip(index, super_classes, strict=True)]
    return Reading(records, names, super_classes)
