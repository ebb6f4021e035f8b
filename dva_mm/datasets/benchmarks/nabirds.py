"""NABirds: CUB's lists, and a hierarchy above its visual classes."""

from pathlib import Path

from ..record import Reading
from .cub import join_lists
from .files import need, read_table

_FILES = (
    'images',
    'images.txt',
    'classes.txt',
    'hierarchy.txt',
    'image_class_labels.txt',
    'train_test_split.txt',
    'bounding_boxes.txt',
)
_LAYOUT = """  ROOT/images/0817/*.jpg ...
  ROOT/images.txt  ROOT/classes.txt  ROOT/hierarchy.txt  ROOT/image_class_labels.txt
  ROOT/train_test_split.txt  ROOT/bounding_boxes.txt"""


def read_nabirds(root: str | Path) -> Reading:
    """NABirds (Van Horn et al., CVPR 2015).

    ``classes.txt`` names 1,011 nodes of a tree; the classes are the 555 of them that have images,
    in the order of their ids. Their super-classes are the nodes just below the root (22 groups
    such as 'Loons'): a direct parent is a species for some of the classes and a family for others.
    The first 255 of the 555 classes train in the open-set protocol.

    Raises:
        FileNotFoundError: if a file of the archive is missing; names source and layout.
        ValueError: if the lists disagree.
    """
    root = Path(root).expanduser()
    source = 'https://dl.allaboutbirds.org/nabirds (nabirds.tar.gz)'
    need(root, _FILES, 'NABirds', source, _LAYOUT)
    names = read_table(root / 'classes.txt')
    with_images = set(read_table(root / 'image_class_labels.txt').values())
    class_ids = sorted(names.keys() & with_images, key=int)
    parents = read_table(root / 'hierarchy.txt', 'child parent')
    groups = [names.get(_group(node, parents, root), '') for node in class_ids]
    # The share, so that a part of the data set has a test side as well.
    train_classes = frozenset(range(round(len(class_ids) * 255 / 555)))
    records = join_lists(root, class_ids)
    return Reading(records, [names[node] for node in class_ids], groups, train_classes)


def _group(node: str, parents: dict[str, str], root: Path) -> str:
    """The ancestor just below the root of the tree, the only node without a parent."""
    start, steps = node, 0
    while parents.get(node) in parents:
        node, steps = parents[node], steps + 1
        if steps > len(parents):
            raise ValueError(f'{root / "hierarchy.txt"}: class {start} is its own ancestor')
    return node
