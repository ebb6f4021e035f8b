"""Stanford Dogs."""

from pathlib import Path

from tqdm import tqdm

from ..record import Reading, Record
from .files import Box, area, need, read_matlab, read_xml_boxes

_LAYOUT = """  ROOT/Images/n02085620-Chihuahua/*.jpg ...
  ROOT/Annotation/n02085620-Chihuahua/n02085620_10074 ...
  ROOT/train_list.mat  ROOT/test_list.mat (also found in ROOT/lists)"""


def read_dogs(root: str | Path) -> Reading:
    """Stanford Dogs (Khosla et al., FGVC 2011).

    Where an image has several dogs, the box is that of the largest. The annotation's corners are
    taken as the first and last pixel inside, counted from 0.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if a list or annotation is damaged, or the lists disagree.
    """
    root = Path(root).expanduser()
    lists = 'lists/' if (root / 'lists' / 'train_list.mat').exists() else ''
    sides = {True: f'{lists}train_list.mat', False: f'{lists}test_list.mat'}
    source = 'http://vision.stanford.edu/aditya86/ImageNetDogs/ (images, annotation, lists .tar)'
    need(root, ('Images', 'Annotation', *sides.values()), 'Stanford Dogs', source, _LAYOUT)

    entries: list[tuple[str, int, bool]] = []
    folders: dict[int, str] = {}
    for is_train, file in sides.items():
        names, labels = read_matlab(root / file, 'file_list', 'labels')
        if len(names) != len(labels):
            raise ValueError(f'{root / file} has {len(names)} images and {len(labels)} labels')
        for name, label in zip(names, labels, strict=True):
            folder = str(name).partition('/')[0]
            if folders.setdefault(int(label), folder) != folder:
                raise ValueError(
                    f'{root / file}: {name} has label {label}, which is {folders[int(label)]} '
                    'elsewhere'
                )
            entries.append((str(name), int(label), is_train))
    index = {label: i for i, label in enumerate(sorted(folders))}
    records = [
        Record(
            path=str(root / 'Images' / name),
            label=index[label],
            is_train=is_train,
            box=_largest(root / 'Annotation' / name.removesuffix('.jpg')),
        )
        for name, label, is_train in tqdm(entries, 'Stanford Dogs: reading boxes', delay=2)
    ]
    return Reading(records, [folders[label].partition('-')[2] for label in index])


def _largest(path: Path) -> Box | None:
    boxes = [(x1, y1, x2 + 1, y2 + 1) for x1, y1, x2, y2 in read_xml_boxes(path)]
    return max(boxes, key=area, default=None)
