"""NABirds: CUB's lists, and a hierarchy above its visual classes."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Source
from .cub import LISTS, join_lists
from .files import need, read_table


def read_nabirds(root: str | Path) -> Reading:
    """NABirds (Van Horn et al., CVPR 2015).

    ``classes.txt`` names 1,011 nodes of a tree; the classes are the 555 of them that have images,
    in the order of their ids. Their super-classes are the nodes just below the root (22 groups
    such as 'Loons'): a direct parent is a species for some of the classes and a family for others.
    The first 255 of the 555 classes train in the open-set protocol.
    """
    root = Path(root).expanduser()
    need(root, ('images', *(f'{name}.txt' for name in (*LISTS, 'hierarchy'))), NABIRDS)
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


NABIRDS = Benchmark(
    read_nabirds,
    title='NABirds',
    homepage='https://dl.allaboutbirds.org/nabirds',
    layout="""  ROOT/images/0817/*.jpg ...
  ROOT/images.txt  ROOT/classes.txt  ROOT/hierarchy.txt  ROOT/image_class_labels.txt
  ROOT/train_test_split.txt  ROOT/bounding_boxes.txt""",
    published=Published(
        'Van Horn et al., CVPR 2015', open_classes=(255, 300), closed_images=(23929, 24633)
    ),
    source=Source(
        terms="Non-commercial research and education, under the Cornell Lab of Ornithology's "
        'terms, which a form asks to accept. Cite Van Horn et al., Building a Bird Recognition App '
        'and Large Scale Dataset with Citizen Scientists, CVPR 2015.',
        root='data/nabirds',
        files=(File('nabirds.tar.gz'),),
        top='nabirds',
    ),
)
