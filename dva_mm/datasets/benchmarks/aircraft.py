"""FGVC-Aircraft."""

from pathlib import Path

from ..record import Reading, Record
from .files import from_one_based, need, parse_numbers, read_lines, read_table

_SIDES = ('trainval', 'test')
_FILES = (
    'data/images',
    'data/variants.txt',
    'data/images_box.txt',
    *(f'data/images_{level}_{side}.txt' for level in ('variant', 'family') for side in _SIDES),
)
_LAYOUT = """  ROOT/data/images/*.jpg  ROOT/data/images_box.txt  ROOT/data/variants.txt
  ROOT/data/images_variant_trainval.txt  ROOT/data/images_variant_test.txt
  ROOT/data/images_family_trainval.txt  ROOT/data/images_family_test.txt"""


def read_aircraft(root: str | Path) -> Reading:
    """FGVC-Aircraft 2013b (Maji et al., https://arxiv.org/abs/1306.5151), at the variant level.

    Classes are in the order of ``variants.txt``; the families are the super-classes. The official
    training and validation images both train. At the bottom of each picture there is a banner, 20
    pixels high, that names the photographer; records cannot crop it away, a pipeline can.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if the lists disagree.
    """
    root = Path(root).expanduser()
    source = 'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/ (fgvc-aircraft-2013b.tar.gz)'
    need(root, _FILES, 'FGVC-Aircraft', source, _LAYOUT)
    data = root / 'data'
    classes = [name for _, name in read_lines(data / 'variants.txt')]
    index = {name: i for i, name in enumerate(classes)}
    box_file = data / 'images_box.txt'
    boxes = read_table(box_file, 'image xmin ymin xmax ymax')
    families: dict[str, str] = {}
    records = []
    for side in _SIDES:
        variant_list = data / f'images_variant_{side}.txt'
        image_families = read_table(data / f'images_family_{side}.txt', 'image family')
        for image, variant in read_table(variant_list, 'image variant').items():
            if variant not in index:
                raise ValueError(
                    f'{variant_list}: image {image} is of variant {variant!r}, which variants.txt '
                    'does not know'
                )
            for name, table in (
                ('images_box.txt', boxes),
                (f'images_family_{side}.txt', image_families),
            ):
                if image not in table:
                    raise ValueError(f'{data / name} lacks image {image} of {variant_list.name}')
            family = image_families[image]
            if families.setdefault(variant, family) != family:
                raise ValueError(
                    f'{data}: variant {variant!r} is of family {families[variant]!r} and, by image '
                    f'{image}, of {family!r}'
                )
            place = f'{box_file}, image {image}'
            corners = parse_numbers(boxes[image], 4, 'xmin, ymin, xmax and ymax', place)
            records.append(
                Record(
                    path=str(data / 'images' / f'{image}.jpg'),
                    label=index[variant],
                    is_train=side == 'trainval',
                    box=from_one_based(*corners),
                )
            )
    return Reading(records, classes, [families.get(name, '') for name in classes])
