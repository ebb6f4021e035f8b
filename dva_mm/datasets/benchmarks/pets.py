"""Oxford-IIIT Pets."""

from pathlib import Path

from ..record import Reading, Record
from .files import need, read_columns

_SIDES = ('trainval', 'test')
_SPECIES = {'1': 'cat', '2': 'dog'}
_LAYOUT = """  ROOT/images/Abyssinian_1.jpg ...
  ROOT/annotations/trainval.txt  ROOT/annotations/test.txt"""


def read_pets(root: str | Path) -> Reading:
    """Oxford-IIIT Pets (Parkhi et al., CVPR 2012); the super-classes are 'cat' and 'dog'.

    Records have no box: the archive's (``annotations/xmls``) are of the head, not of the animal,
    and only training images have one. ``annotations/list.txt`` holds the same lines as the two
    lists of the official split and is not read.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if the lists are malformed or disagree.
    """
    root = Path(root).expanduser()
    source = 'https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz)'
    files = ('images', *(f'annotations/{side}.txt' for side in _SIDES))
    need(root, files, 'Oxford-IIIT Pets', source, _LAYOUT)
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
            if breeds.setdefault(int(class_id), breed) != breed:
                raise ValueError(
                    f'{path}, line {number}: class {class_id} is {breed}, elsewhere '
                    f'{breeds[int(class_id)]}'
                )
            entries.append((image, int(class_id), side == 'trainval'))
    index = {class_id: i for i, class_id in enumerate(sorted(breeds))}
    records = [
        Record(str(root / 'images' / f'{image}.jpg'), index[class_id], is_train, None)
        for image, class_id, is_train in entries
    ]
    names = [breeds[class_id] for class_id in index]
    return Reading(records, [name for name, _ in names], [species for _, species in names])
