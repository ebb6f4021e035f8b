"""Stanford Cars, in either of its official layouts."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import from_one_based, need, read_matlab

_LABELLED = 'cars_test_annos_withlabels.mat'
_BOX = ('bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2')


def read_cars(root: str | Path) -> Reading:
    """Stanford Cars, or Cars196 (Krause et al., 3dRR 2013), found in whichever layout is there.

    The single file ``cars_annos.mat`` is taken where both layouts are; classes are in the order of
    their ids, which both share. Both hold the same images and the same official split.
    """
    root = Path(root).expanduser()
    if (root / 'cars_annos.mat').exists():
        need(root, ('car_ims',), CARS)
        meta, field, parts = 'cars_annos.mat', 'relative_im_path', {'cars_annos.mat': ''}
    else:
        beside = not (root / 'devkit' / _LABELLED).exists() and (root / _LABELLED).exists()
        labelled = _LABELLED if beside else f'devkit/{_LABELLED}'
        meta, field = 'devkit/cars_meta.mat', 'fname'
        parts = {'devkit/cars_train_annos.mat': 'cars_train', labelled: 'cars_test'}
        need(root, (meta, *parts, *parts.values()), CARS)
    (names,) = read_matlab(root / meta, 'class_names')
    records = []
    for file, folder in parts.items():
        (annotations,) = read_matlab(root / file, 'annotations')
        fields = (field, 'class', *_BOX, *(() if folder else ('test',)))
        missing = [name for name in fields if name not in (annotations.dtype.names or ())]
        if missing:
            raise ValueError(f'{root / file}: annotations lack {", ".join(missing)}')
        for number, row in enumerate(annotations, start=1):
            label = int(row['class']) - 1
            if not 0 <= label < len(names):
                raise ValueError(
                    f'{root / file}, entry {number} ({row[field]}): class {label + 1} has no name; '
                    f'there are {len(names)} class names'
                )
            is_train = folder == 'cars_train' if folder else bool(row['test'] == 0)
            box = from_one_based(*(row[side] for side in _BOX))
            records.append(Record(str(root / folder / str(row[field])), label, is_train, box))
    return Reading(records, [str(name) for name in names])


CARS = Benchmark(
    read_cars,
    title='Stanford Cars',
    homepage='https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
    layout=f"""  ROOT/cars_annos.mat  ROOT/car_ims/*.jpg
or, as the devkit has it,
  ROOT/cars_train/*.jpg  ROOT/cars_test/*.jpg
  ROOT/devkit/cars_meta.mat  ROOT/devkit/cars_train_annos.mat
  ROOT/devkit/{_LABELLED} (a download of its own, also found in
  ROOT; the devkit's cars_test_annos.mat has no labels)""",
    published=Published(
        'Krause et al., 3dRR 2013; open-set: Song et al., arXiv:1511.06452',
        open_classes=(98, 98),
        open_images=(8054, 8131),
        closed_images=(8144, 8041),
    ),
    source=Source(
        terms='Non-commercial research. Cite Krause et al., 3D Object Representations for '
        'Fine-Grained Categorization, 3dRR 2013. The files are gone from the homepage.',
        root='data/stanford_cars',
        files=(
            File(
                'cars_train.tgz',
                'sha256:512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288',
            ),
            File(
                'cars_test.tgz',
                'sha256:bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243',
            ),
            File(
                'car_devkit.tgz',
                'sha256:b97deb463af7d58b6bfaa18b2a4de9829f0f79e8ce663dfa9261bf7810e9accd',
            ),
            File(
                _LABELLED,
                'sha256:790f75be8ea34eeded134cc559332baf23e30e91367e9ddca97d26ed9b895f05',
                place='devkit',
            ),
        ),
    ),
)
