"""Oxford-IIIT Pets."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import agree, need, read_columns

_SIDES = ('trainval', 'test')
_SPECIES = {'1': 'cat', '2': 'dog'}
_HOME = 'https://www.robots.ox.ac.uk/~vgg/data/pets/'


def read_pets(root: str | Path) -> Reading:
    """Oxford-IIIT Pets (Parkhi et al., CVPR 2012); the super-classes are 'cat' and 'dog'.

    Records have no box: the archive's (``annotations/xmls``) are of the head, not of the animal,
    and only training images have one. ``annotations/list.txt`` holds the same lines as the two
    lists of the official split and is not read.
    """
    root = Path(root).expanduser()
    need(root, ('images', *(f'annotations/{side}.txt' for side in _SIDES)), PETS)
    entries: list[tuple[str, int, bool]] = []
    breeds: dict[int, tuple[str, str]] = {}
    for side in _SIDES:
        path = root / 'annotations' / f'{side}.txt'
        for number, values in read_columns(path, 'image class-id species breed-id', comment='#'):
            image, class_id, species, _ = values
            if not class_id.isdecimal() or species not in _SPECIES:
                raise ValueError(
                    f'{path}, line {number}: expected "image class-id species breed-id" with '
                    f'species 1 (cat) or 2 (dog), got {" ".join(values)!r}'
                )
            breed = image.rpartition('_')[0], _SPECIES[species]
            agree(breeds, int(class_id), breed, f'{path}, line {number}')
            entries.append((image, int(class_id), side == 'trainval'))
    index = {class_id: i for i, class_id in enumerate(sorted(breeds))}
    records = [
        Record(str(root / 'images' / f'{image}.jpg'), index[class_id], is_train, None)
        for image, class_id, is_train in entries
    ]
    names = [breeds[class_id] for class_id in index]
    return Reading(records, [name for name, _ in names], [species for _, species in names])


# The checksums are from TensorFlow Datasets' table and agree with torchvision's MD5s.
PETS = Benchmark(
    read_pets,
    title='Oxford-IIIT Pets',
    homepage=_HOME,
    layout="""  ROOT/images/Abyssinian_1.jpg ...
  ROOT/annotations/trainval.txt  ROOT/annotations/test.txt""",
    published=Published(
        'Parkhi et al., CVPR 2012, and the lists of the archive',
        open_classes=(18, 19),
        closed_images=(3680, 3669),
    ),
    source=Source(
        terms='CC BY-SA 4.0; the photographs belong to their owners. Cite Parkhi et al., Cats and '
        'Dogs, CVPR 2012.',
        root='data/oxford-iiit-pet',
        files=(
            File(
                'images.tar.gz',
                'sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d',
            ),
            File(
                'annotations.tar.gz',
                'sha256:52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91',
            ),
        ),
        base=f'{_HOME}data/',
        boxes=False,
    ),
)
