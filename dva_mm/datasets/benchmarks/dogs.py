"""Stanford Dogs."""

from pathlib import Path

from tqdm import tqdm

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import agree, area, need, read_matlab, read_xml_boxes

_HOME = 'http://vision.stanford.edu/aditya86/ImageNetDogs/'


def read_dogs(root: str | Path) -> Reading:
    """Stanford Dogs (Khosla et al., FGVC 2011).

    Where an image has several dogs, the box is that of the largest. The annotation's corners are
    taken as the first and last pixel inside, counted from 0.
    """
    root = Path(root).expanduser()
    lists = 'lists/' if (root / 'lists' / 'train_list.mat').exists() else ''
    sides = {True: f'{lists}train_list.mat', False: f'{lists}test_list.mat'}
    need(root, ('Images', 'Annotation', *sides.values()), DOGS)
    entries: list[tuple[str, int, bool]] = []
    folders: dict[int, str] = {}
    for is_train, file in sides.items():
        names, labels = read_matlab(root / file, 'file_list', 'labels')
        if len(names) != len(labels):
            raise ValueError(f'{root / file} has {len(names)} images and {len(labels)} labels')
        for name, label in zip(names, labels, strict=True):
            folder = str(name).partition('/')[0]
            agree(folders, int(label), folder, f'{root / file}, {name}')
            entries.append((str(name), int(label), is_train))
    index = {label: i for i, label in enumerate(sorted(folders))}
    records = []
    for name, label, is_train in tqdm(entries, 'Stanford Dogs: reading boxes', delay=2):
        corners = read_xml_boxes(root / 'Annotation' / name.removesuffix('.jpg'))
        boxes = [(x1, y1, x2 + 1, y2 + 1) for x1, y1, x2, y2 in corners]
        box = max(boxes, key=area, default=None)
        records.append(Record(str(root / 'Images' / name), index[label], is_train, box))
    return Reading(records, [folders[label].partition('-')[2] for label in index])


# The checksums are from TensorFlow Datasets' table, which was made from the same addresses.
DOGS = Benchmark(
    read_dogs,
    title='Stanford Dogs',
    homepage=_HOME,
    layout="""  ROOT/Images/n02085620-Chihuahua/*.jpg ...
  ROOT/Annotation/n02085620-Chihuahua/n02085620_10074 ...
  ROOT/train_list.mat  ROOT/test_list.mat (also found in ROOT/lists)""",
    published=Published(
        'Khosla et al., FGVC 2011', open_classes=(60, 60), closed_images=(12000, 8580)
    ),
    source=Source(
        terms="ImageNet's photographs, for non-commercial research and education. Cite Khosla et "
        'al., Novel Dataset for Fine-Grained Image Categorization, FGVC 2011.',
        root='data/stanford_dogs',
        files=(
            File(
                'images.tar',
                'sha256:a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58',
            ),
            File(
                'annotation.tar',
                'sha256:662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd',
            ),
            File(
                'lists.tar',
                'sha256:34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c',
            ),
        ),
        base=_HOME,
    ),
)
