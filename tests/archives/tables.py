"""iNaturalist's JSON, and a CSV file."""

import csv
import json
from pathlib import Path

from tiny_data import HEIGHT, WIDTH

from .pictures import samples, save, write_lines


def write_inaturalist(
    root: Path, num_classes: int = 4, images_per_class: int = 4, splits: bool = False
) -> Path:
    """iNaturalist 2018 as its three archives unpack; two species make a family.

    With ``splits`` come Smooth-AP's lists, in which every third species tests.
    """
    categories = [
        dict(id=i, name=f'Species {i}', supercategory='Aves', family=f'Family {i // 2}')
        for i in range(num_classes)
    ]
    sides = {'train': ([], []), 'val': ([], [])}
    files = {'train': [], 'test': []}
    for sample in samples(num_classes, images_per_class):
        file = f'train_val2018/Aves/{sample.label}/{sample.number:032x}.jpg'
        save(root / file, sample.image)
        images, annotations = sides['train' if sample.is_train else 'val']
        images.append(dict(id=sample.number, width=WIDTH, height=HEIGHT, file_name=file))
        annotations.append(dict(id=sample.number, image_id=sample.number, category_id=sample.label))
        files['test' if sample.label % 3 == 0 else 'train'].append(file)
    for side, (images, annotations) in sides.items():
        content = dict(info={}, images=images, categories=categories, annotations=annotations)
        (root / f'{side}2018.json').write_text(json.dumps(content))
    if splits:
        for side, names in files.items():
            write_lines(root / 'Inat_dataset_splits' / f'Inaturalist_{side}_set1.txt', names)
    return root


def write_csv(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """``images.csv`` with every column; the last image of each class has no box."""
    with (root / 'images.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['path', 'label', 'split', 'x1', 'y1', 'x2', 'y2'])
        for sample in samples(num_classes, images_per_class):
            name = f'pictures/{sample.number}.jpg'
            save(root / name, sample.image)
            box = sample.box if sample.index < images_per_class - 1 else ('',) * 4
            side = 'train' if sample.is_train else 'test'
            table.writerow([name, f'class {sample.label}', side, *box])
    return root
