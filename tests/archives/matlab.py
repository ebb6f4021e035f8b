"""Archives whose lists are MATLAB files: Stanford Cars and Dogs, Oxford Flowers-102."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import savemat

from .pictures import annotation, samples, save


def _cells(values: Sequence, column: bool = False) -> np.ndarray:
    """A MATLAB cell array: 1 x N, or N x 1."""
    cells = np.empty((1, len(values)), dtype=object)
    for i, value in enumerate(values):
        cells[0, i] = value
    return cells.T if column else cells


def _structs(rows: Sequence[dict]) -> np.ndarray:
    """A MATLAB 1 x N struct array whose numbers are 1 x 1 matrices of the smallest type."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        for name, value in row.items():
            if not isinstance(value, str):
                value = np.array([[value]], dtype=np.min_scalar_type(value))
            array[name][0, i] = value
    return array


def _cars_box(box: tuple[int, int, int, int]) -> dict[str, int]:
    x1, y1, x2, y2 = box
    return dict(bbox_x1=x1 + 1, bbox_y1=y1 + 1, bbox_x2=x2, bbox_y2=y2)


def _cars_names(count: int) -> list[str]:
    return [f'Make Model-{label + 1} Sedan 2012' for label in range(count)]


def write_cars_devkit(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Stanford Cars as cars_train.tgz, cars_test.tgz and car_devkit.tgz unpack."""
    rows = {'train': [], 'test': []}
    for sample in samples(num_classes, images_per_class):
        side = 'train' if sample.is_train else 'test'
        name = f'{len(rows[side]) + 1:05d}.jpg'
        rows[side].append({**_cars_box(sample.box), 'class': sample.label + 1, 'fname': name})
        save(root / f'cars_{side}' / name, sample.image)
    devkit = root / 'devkit'
    devkit.mkdir(parents=True)
    savemat(devkit / 'cars_meta.mat', {'class_names': _cells(_cars_names(num_classes))})
    savemat(devkit / 'cars_train_annos.mat', {'annotations': _structs(rows['train'])})
    savemat(devkit / 'cars_test_annos_withlabels.mat', {'annotations': _structs(rows['test'])})
    without = [{k: v for k, v in row.items() if k != 'class'} for row in rows['test']]
    savemat(devkit / 'cars_test_annos.mat', {'annotations': _structs(without)})
    return root


def write_cars_single(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Stanford Cars as car_ims.tgz and cars_annos.mat."""
    rows = []
    for sample in samples(num_classes, images_per_class):
        name = f'car_ims/{sample.number:06d}.jpg'
        save(root / name, sample.image)
        row = {'relative_im_path': name, **_cars_box(sample.box), 'class': sample.label + 1}
        rows.append({**row, 'test': int(not sample.is_train)})
    content = {'annotations': _structs(rows), 'class_names': _cells(_cars_names(num_classes))}
    savemat(root / 'cars_annos.mat', content)
    return root


def write_dogs(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Stanford Dogs as images.tar, annotation.tar and lists.tar unpack.

    The first image of each class has a second, smaller dog in its upper left corner.
    """
    lists = {'train': [], 'test': [], 'file': []}
    for sample in samples(num_classes, images_per_class):
        wnid, breed = f'n0208{sample.label:04d}', f'breed-{sample.label + 1}'
        name = f'{wnid}_{sample.index + 1}'
        save(root / 'Images' / f'{wnid}-{breed}' / f'{name}.jpg', sample.image)
        x1, y1, x2, y2 = sample.box
        boxes = [(x1, y1, x2 - 1, y2 - 1)]
        if sample.index == 0:
            boxes.insert(0, (0, 0, 2, 2))
        path = root / 'Annotation' / f'{wnid}-{breed}' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(annotation(wnid[1:], name, breed, boxes))
        entry = f'{wnid}-{breed}/{name}', sample.label + 1
        lists['file'].append(entry)
        lists['train' if sample.is_train else 'test'].append(entry)
    for side, entries in lists.items():
        content = {
            'file_list': _cells([f'{name}.jpg' for name, _ in entries], column=True),
            'annotation_list': _cells([name for name, _ in entries], column=True),
            'labels': np.array([[label] for _, label in entries], dtype=np.uint8),
        }
        savemat(root / ('file_list.mat' if side == 'file' else f'{side}_list.mat'), content)
    return root


def write_flowers(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Oxford Flowers-102 as 102flowers.tgz, imagelabels.mat and setid.mat.

    Of each class the first image is in trnid, the others of the first half are in valid.
    """
    labels, sides = [], dict(trnid=[], valid=[], tstid=[])
    for sample in samples(num_classes, images_per_class):
        save(root / 'jpg' / f'image_{sample.number:05d}.jpg', sample.image)
        labels.append(sample.label + 1)
        side = 'trnid' if sample.index == 0 else 'valid' if sample.is_train else 'tstid'
        sides[side].append(sample.number)
    savemat(root / 'imagelabels.mat', {'labels': np.array([labels], dtype=np.uint8)})
    content = {side: np.array([numbers], dtype=np.uint16) for side, numbers in sides.items()}
    savemat(root / 'setid.mat', content)
    return root
