"""Oxford Flowers-102."""

from pathlib import Path

from ..record import Reading, Record
from .files import need, read_matlab

_LAYOUT = '  ROOT/jpg/image_00001.jpg ...\n  ROOT/imagelabels.mat  ROOT/setid.mat'


def read_flowers(root: str | Path) -> Reading:
    """Oxford Flowers-102 (Nilsback and Zisserman, ICVGIP 2008).

    The official training and validation images (``trnid``, ``valid``: 10 a class each) both train,
    the others (``tstid``) test. Papers differ: some train on ``trnid`` alone, some exchange the
    sides. The archive has neither boxes nor names; the classes are named by their numbers.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if a file is damaged or the lists disagree.
    """
    root = Path(root).expanduser()
    source = (
        'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ '
        '(102flowers.tgz, imagelabels.mat, setid.mat)'
    )
    files = ('jpg', 'imagelabels.mat', 'setid.mat')
    need(root, files, 'Oxford Flowers-102', source, _LAYOUT)
    (labels,) = read_matlab(root / 'imagelabels.mat', 'labels')
    numbers = [int(label) for label in labels]
    sides = read_matlab(root / 'setid.mat', 'trnid', 'valid', 'tstid')
    is_train: dict[int, bool] = {}
    for training, side in zip((True, True, False), sides, strict=True):
        for image in side:
            if int(image) in is_train:
                raise ValueError(f'{root / "setid.mat"} lists image {image} twice')
            is_train[int(image)] = training
    if is_train.keys() != set(range(1, len(numbers) + 1)):
        raise ValueError(
            f'{root / "setid.mat"} lists {len(is_train)} images and imagelabels.mat '
            f'{len(numbers)}, or their numbers differ'
        )
    index = {number: i for i, number in enumerate(sorted(set(numbers)))}
    records = [
        Record(
            path=str(root / 'jpg' / f'image_{image:05d}.jpg'),
            label=index[number],
            is_train=is_train[image],
            box=None,
        )
        for image, number in enumerate(numbers, start=1)
    ]
    return Reading(records, [f'{number:03d}' for number in index])
