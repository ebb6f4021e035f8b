"""Archives whose lists are text: Aircraft, NABirds, Pets, Online Products and In-Shop."""

from pathlib import Path

from tiny_data import HEIGHT, WIDTH

from .pictures import annotation, samples, save, write_lines

SOP_SUPER_CLASSES = ('bicycle', 'cabinet', 'chair', 'coffee_maker')
PETS = ('Abyssinian', 'american_bulldog', 'basset_hound', 'Bengal', 'yorkshire_terrier')


def write_aircraft(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """FGVC-Aircraft as fgvc-aircraft-2013b.tar.gz unpacks; two variants make a family."""
    data = root / 'data'
    variants = [f'Model {label + 1}/A' for label in range(num_classes)]
    families = [f'Family {label // 2 + 1}' for label in range(num_classes)]
    boxes, sides = [], {name: [] for name in ('train', 'val', 'trainval', 'test')}
    for sample in samples(num_classes, images_per_class):
        name = f'{sample.number:07d}'
        save(data / 'images' / f'{name}.jpg', sample.image)
        x1, y1, x2, y2 = sample.box
        boxes.append(f'{name} {x1 + 1} {y1 + 1} {x2} {y2}')
        part = ('train', 'val')[sample.index % 2]
        for side in ('trainval', part) if sample.is_train else ('test',):
            sides[side].append((name, sample.label))
    write_lines(data / 'images_box.txt', boxes)
    write_lines(data / 'variants.txt', variants)
    write_lines(data / 'families.txt', sorted(set(families)))
    for side, entries in sides.items():
        write_lines(data / f'images_{side}.txt', [name for name, _ in entries])
        for level, names in (('variant', variants), ('family', families)):
            lines = [f'{name} {names[label]}' for name, label in entries]
            write_lines(data / f'images_{level}_{side}.txt', lines)
    return root


def write_nabirds(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """NABirds as nabirds.tar.gz unpacks.

    Class 0 is the root, 1 and 2 are orders, 3 and 4 families of them, and the visual classes,
    alternately in either family, follow from 10; only these have images.
    """
    classes = ['0 Birds', '1 Ducks, Geese, and Swans', '2 Loons', '3 Ducks', '4 Divers']
    parents = ['1 0', '2 0', '3 1', '4 2']
    names = 'images', 'image_class_labels', 'train_test_split', 'bounding_boxes', 'sizes'
    tables = {name: [] for name in names} | dict(classes=classes, hierarchy=parents)
    for label in range(num_classes):
        classes.append(f'{label + 10} Duck {label + 1} (Adult male)')
        parents.append(f'{label + 10} {label % 2 + 3}')
    for sample in samples(num_classes, images_per_class):
        image_id = f'{sample.number:08d}-21dc-4d0c-bfe1-4cae3c85c829'
        file = f'{sample.label + 10:04d}/{image_id.replace("-", "")}.jpg'
        save(root / 'images' / file, sample.image)
        x1, y1, x2, y2 = sample.box
        tables['images'].append(f'{image_id} {file}')
        tables['image_class_labels'].append(f'{image_id} {sample.label + 10}')
        tables['train_test_split'].append(f'{image_id} {int(sample.is_train)}')
        tables['bounding_boxes'].append(f'{image_id} {x1} {y1} {x2 - x1} {y2 - y1}')
        tables['sizes'].append(f'{image_id} {WIDTH} {HEIGHT}')
    for name, lines in tables.items():
        write_lines(root / f'{name}.txt', lines)
    return root


def write_pets(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Oxford-IIIT Pets as images.tar.gz and annotations.tar.gz unpack; at most five classes.

    Cats have capital letters; a head box, as the archive has them, lies in ``xmls`` for the
    training images.
    """
    rows, breeds = {'trainval': [], 'test': []}, {1: 0, 2: 0}
    for sample in samples(num_classes, images_per_class):
        breed = PETS[sample.label]
        species = 1 if breed[0].isupper() else 2
        breeds[species] += sample.index == 0
        name = f'{breed}_{sample.index + 1}'
        save(root / 'images' / f'{name}.jpg', sample.image)
        row = f'{name} {sample.label + 1} {species} {breeds[species]}'
        rows['trainval' if sample.is_train else 'test'].append(row)
        if sample.is_train:
            head = annotation('OXIIIT', f'{name}.jpg', ('cat', 'dog')[species - 1], [(5, 5, 9, 9)])
            write_lines(root / 'annotations' / 'xmls' / f'{name}.xml', [head])
    header = [
        '#Image CLASS-ID SPECIES BREED ID',
        '#ID: 1:37 Class ids',
        '#SPECIES: 1:Cat 2:Dog',
        '#BREED ID: 1-25:Cat 1:12:Dog',
        '#All images with 1st letter as captial are cat',
        '#images with small first letter are dog images',
    ]
    write_lines(root / 'annotations' / 'list.txt', header + rows['trainval'] + rows['test'])
    for side, lines in rows.items():
        write_lines(root / 'annotations' / f'{side}.txt', lines)
    return root


def write_sop(root: Path, num_classes: int = 4, images_per_class: int = 4) -> Path:
    """Stanford Online Products as Stanford_Online_Products.zip unpacks."""
    sides = {'train': [], 'test': []}
    for sample in samples(num_classes, images_per_class):
        super_class = sample.label * len(SOP_SUPER_CLASSES) // num_classes
        folder = f'{SOP_SUPER_CLASSES[super_class]}_final'
        file = f'{folder}/{111085122871 + sample.label}_{sample.index}.JPG'
        save(root / file, sample.image)
        side = 'train' if sample.label < num_classes // 2 else 'test'
        sides[side].append(f'{sample.number} {sample.label + 1} {super_class + 1} {file}')
    for side, lines in sides.items():
        write_lines(root / f'Ebay_{side}.txt', ['image_id class_id super_class_id path', *lines])
    return root


def write_inshop(
    root: Path, num_classes: int = 4, images_per_class: int = 4, boxes: bool = True
) -> Path:
    """DeepFashion's In-Shop Clothes Retrieval; the first half of a test item's images queries."""
    partition, located = [], []
    for sample in samples(num_classes, images_per_class):
        item = f'id_{sample.label + 1:08d}'
        kind = ('WOMEN/Dresses', 'MEN/Denim')[sample.label % 2]
        file = f'img/{kind}/{item}/01_{sample.index + 1}_front.jpg'
        save(root / 'Img' / file, sample.image)
        side = 'query' if sample.is_train else 'gallery'
        side = 'train' if sample.label < num_classes // 2 else side
        partition.append(f'{file:<70} {item} {side}')
        x1, y1, x2, y2 = sample.box
        located.append(f'{file:<70} 3 1 {x1 + 1:03d} {y1 + 1:03d} {x2:03d} {y2:03d}')
    write_lines(
        root / 'Eval' / 'list_eval_partition.txt',
        [str(len(partition)), 'image_name item_id evaluation_status', *partition],
    )
    if boxes:
        header = 'image_name clothes_type pose_type x_1 y_1 x_2 y_2'
        write_lines(root / 'Anno' / 'list_bbox_inshop.txt', [str(len(located)), header, *located])
    return root
