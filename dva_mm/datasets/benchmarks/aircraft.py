"""FGVC-Aircraft."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import agree, from_one_based, need, parse_box, read_lines, read_table

_HOME = 'https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/'
_SIDES = ('trainval', 'test')
_FILES = ('images', 'variants.txt', 'images_box.txt')
_FILES += tuple(f'images_{level}_{side}.txt' for level in ('variant', 'family') for side in _SIDES)


def read_aircraft(root: str | Path) -> Reading:
    """FGVC-Aircraft 2013b (Maji et al., https://arxiv.org/abs/1306.5151), at the variant level.

    Classes are in the order of ``variants.txt``; the families are the super-classes. The official
    training and validation images both train. At the bottom of each picture there is a banner, 20
    pixels high, that names the photographer; records cannot crop it away, a pipeline can.
    """
    root = Path(root).expanduser()
    need(root, [f'data/{name}' for name in _FILES], AIRCRAFT)
    data = root / 'data'
    classes = [name for _, name in read_lines(data / 'variants.txt')]
    index = {name: i for i, name in enumerate(classes)}
    box_file = data / 'images_box.txt'
    boxes = read_table(box_file, 'image xmin ymin xmax ymax')
    families: dict[str, str] = {}
    records = []
    for side in _SIDES:
        variant_list, family_list = (
            data / f'images_{it}_{side}.txt' for it in ('variant', 'family')
        )
        image_families = read_table(family_list, 'image family')
        for image, variant in read_table(variant_list, 'image variant').items():
            if variant not in index:
                raise ValueError(
                    f'{variant_list}: image {image} is of variant {variant!r}, which variants.txt '
                    'does not know'
                )
            for file, table in ((box_file, boxes), (family_list, image_families)):
                if image not in table:
                    raise ValueError(f'{file} lacks image {image} of {variant_list.name}')
            agree(families, variant, image_families[image], f'{family_list}, image {image}')
            place = f'{box_file}, image {image}'
            box = from_one_based(*parse_box(boxes[image], 'xmin, ymin, xmax and ymax', place))
            path = str(data / 'images' / f'{image}.jpg')
            records.append(Record(path, index[variant], side == 'trainval', box))
    return Reading(records, classes, [families.get(name, '') for name in classes])


AIRCRAFT = Benchmark(
    read_aircraft,
    title='FGVC-Aircraft',
    homepage=_HOME,
    layout="""  ROOT/data/images/*.jpg  ROOT/data/images_box.txt  ROOT/data/variants.txt
  ROOT/data/images_variant_trainval.txt  ROOT/data/images_variant_test.txt
  ROOT/data/images_family_trainval.txt  ROOT/data/images_family_test.txt""",
    published=Published(
        'Maji et al., arXiv:1306.5151 (release 2013b: 100 images of each variant)',
        open_classes=(50, 50),
        open_images=(5000, 5000),
        closed_images=(6667, 3333),
    ),
    source=Source(
        terms='Non-commercial research only; the photographs belong to airliners.net '
        'contributors. Cite Maji et al., Fine-Grained Visual Classification of Aircraft, '
        'arXiv:1306.5151.',
        root='data/fgvc-aircraft-2013b',
        files=(
            File(
                'fgvc-aircraft-2013b.tar.gz',
                # The MD5 that Torch's and other downloaders check.
                'md5:d4acdd33327262359767eeaa97a4f732',
            ),
        ),
        base=f'{_HOME}archives/',
        top='fgvc-aircraft-2013b',
    ),
)
