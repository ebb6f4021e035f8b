"""iNaturalist's competitions: COCO-style JSON."""

import json
from pathlib import Path

from ..record import Benchmark, Published, Reading, Record
from .files import Box, agree, area, need, read_lines

_LISTS = {side: f'Inat_dataset_splits/Inaturalist_{side}_set1.txt' for side in ('train', 'test')}


def read_inaturalist(root: str | Path) -> Reading:
    """iNaturalist (Van Horn et al., CVPR 2018) of any year, or a data set in its format.

    The pair ``train*.json`` and ``val*.json`` is the official, closed-set split; the smaller
    training list of 2021, ``train_mini.json``, goes with ``val.json``. Classes are in the order of
    their ids; the super-class is the family, or where the categories have none the supercategory.
    With Smooth-AP's lists (Brown et al., ECCV 2020) their classes train and test in the open-set
    protocol, else the halves. Boxes stand beside the labels or in files of their own
    (``train*bbox*.json`` and ``val*bbox*.json``, 2017); an image has the largest of its boxes.
    """
    root = Path(root).expanduser()
    sides = _find_sides(root)
    parts = 'images', 'annotations', 'categories'
    lists = {side: _load(path, *parts) for side, path in sides.items()}
    names = root / 'categories.json'
    categories = _load(names) if names.exists() else lists['train'][2]
    categories = sorted(categories, key=lambda category: category['id'])
    index = {category['id']: i for i, category in enumerate(categories)}
    records, labels = [], {}
    for side, (images, annotations, _) in lists.items():
        path = sides[side]
        categories_of, boxes = _join(path, annotations)
        own_boxes = _read_boxes(sorted(root.glob(f'{side}*bbox*.json')), images)
        for image in images:
            if categories_of.get(image['id']) not in index:
                raise ValueError(
                    f'{path}: image {image["id"]} ({image["file_name"]}) has no annotation, or one '
                    'of a category without a name'
                )
            label = labels[image['file_name']] = index[categories_of[image['id']]]
            candidates = [*boxes.get(image['id'], ()), *own_boxes.get(image['file_name'], ())]
            box = max(candidates, key=area, default=None)
            records.append(Record(f'{root}/{image["file_name"]}', label, side == 'train', box))
    families = [category.get('family', category.get('supercategory')) for category in categories]
    return Reading(
        records,
        [category['name'] for category in categories],
        None if None in families else families,
        _open_classes(root, labels),
    )


def _find_sides(root: Path) -> dict[str, Path]:
    """The JSON files of the two sides."""
    pairs = []
    for train in sorted(root.glob('train*.json')):
        val = train.with_name(train.name.replace('train', 'val', 1))
        if not val.exists():
            val = train.with_name(val.name.replace('_mini', ''))
        if 'bbox' not in train.name and val.exists():
            pairs.append((train, val))
    if not pairs:
        need(root, ('train2018.json', 'val2018.json'), INATURALIST)
    if len(pairs) > 1:
        names = ', '.join(f'{train.name} with {val.name}' for train, val in pairs)
        raise ValueError(
            f'{root} has several training lists: {names}; keep one of them there, or give each a '
            'folder of its own'
        )
    return dict(zip(('train', 'val'), pairs[0], strict=True))


def _load(path: Path, *names: str) -> list:
    """The named parts of a JSON file; the whole without names."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        return [content[name] for name in names] if names else content
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no COCO-style JSON file: {error!r}') from error


def _join(path: Path, annotations: list[dict]) -> tuple[dict, dict[int, list[Box]]]:
    """Category and boxes of each image."""
    categories: dict[int, int] = {}
    boxes: dict[int, list[Box]] = {}
    for annotation in annotations:
        image, category = annotation['image_id'], annotation['category_id']
        agree(categories, image, category, f'{path}, category of image')
        if annotation.get('bbox'):
            boxes.setdefault(image, []).append(_corners(annotation))
    return categories, boxes


def _read_boxes(paths: list[Path], images: list[dict]) -> dict[str, list[Box]]:
    """The boxes of a side's box files, by file name: they need not share the ids of the labels."""
    names = {image['file_name'] for image in images}
    boxes: dict[str, list[Box]] = {}
    for path in paths:
        boxed, annotations = _load(path, 'images', 'annotations')
        name_of = {image['id']: image['file_name'] for image in boxed}
        if not names.intersection(name_of.values()):
            raise ValueError(f'{path} has boxes of none of the images; it is of another data set')
        for annotation in annotations:
            name = name_of.get(annotation['image_id'])
            boxes.setdefault(name, []).append(_corners(annotation))
    return boxes


def _corners(annotation: dict) -> Box:
    x, y, width, height = annotation['bbox']
    return x, y, x + width, y + height


def _open_classes(root: Path, labels: dict[str, int]) -> frozenset[int] | None:
    """The labels that train by Smooth-AP's lists; None without the lists."""
    if not all((root / path).exists() for path in _LISTS.values()):
        return None
    sides = {}
    for side, file in _LISTS.items():
        files = [line for _, line in read_lines(root / file)]
        if unknown := [name for name in files if name not in labels]:
            raise ValueError(f'{root / file} names {unknown[0]}, which the JSON files do not know')
        sides[side] = {labels[name] for name in files}
    if both := sides['train'] & sides['test']:
        raise ValueError(f'{root / "Inat_dataset_splits"}: {len(both)} classes are on both sides')
    return frozenset(sides['train'])


INATURALIST = Benchmark(
    read_inaturalist,
    title='iNaturalist of any year, or a data set in its JSON format',
    homepage='https://github.com/visipedia/inat_comp',
    layout="""  ROOT/train2018.json  ROOT/val2018.json  (2021: train_mini.json, val.json)
  ROOT/train_val2018/Plantae/7477/*.jpg ... (as the JSON files name them)
  ROOT/train_2017_bboxes.json  ROOT/val_2017_bboxes.json (optional: the boxes of 2017)
  ROOT/categories.json (optional: the names without obfuscation)
  ROOT/Inat_dataset_splits/Inaturalist_train_set1.txt  and  ..._test_set1.txt (optional: the
  retrieval split of Smooth-AP, https://github.com/Andrew-Brown1/Smooth_AP)""",
)
INATURALIST_2018 = INATURALIST._replace(
    name='inaturalist2018',
    title='iNaturalist 2018',
    published=Published(
        'its competition page; open-set: Brown et al., arXiv:2007.12163',
        open_classes=(5690, 2452),
        open_images=(325846, 136093),
        open_by_lists=True,
        closed_images=(437513, 24426),
    ),
)
