"""Oxford Flowers-102."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import need, read_matlab

_HOME = 'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/'


def read_flowers(root: str | Path) -> Reading:
    """Oxford Flowers-102 (Nilsback and Zisserman, ICVGIP 2008).

    The official training and validation images (``trnid``, ``valid``: 10 a class each) both train,
    the others (``tstid``) test. Papers differ: some train on ``trnid`` alone, some exchange the
    sides. The archive has neither boxes nor names; the classes are named by their numbers.
    """
    root = Path(root).expanduser()
    need(root, ('jpg', 'imagelabels.mat', 'setid.mat'), FLOWERS)
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
        Record(str(root / 'jpg' / f'image_{image:05d}.jpg'), index[number], is_train[image], None)
        for image, number in enumerate(numbers, start=1)
    ]
    return Reading(records, [f'{number:03d}' for number in index])


# The checksums are from TensorFlow Datasets' table and agree with torchvision's MD5s.
FLOWERS = Benchmark(
    read_flowers,
    title='Oxford Flowers-102',
    homepage=_HOME,
    layout='  ROOT/jpg/image_00001.jpg ...\n  ROOT/imagelabels.mat  ROOT/setid.mat',
    published=Published(
        'Nilsback and Zisserman, ICVGIP 2008', open_classes=(51, 51), closed_images=(2040, 6149)
    ),
    source=Source(
        terms='Research; the photographs belong to their owners. Cite Nilsback and Zisserman, '
        'Automated Flower Classification over a Large Number of Classes, ICVGIP 2008.',
        root='data/flowers102',
        files=(
            File(
                '102flowers.tgz',
                'sha256:2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246',
            ),
            File(
                'imagelabels.mat',
                'sha256:4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d',
            ),
            File(
                'setid.mat',
                'sha256:46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd',
            ),
        ),
        base=_HOME,
        boxes=False,
    ),
)
