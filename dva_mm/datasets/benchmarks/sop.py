"""Stanford Online Products."""

from pathlib import Path

from ..record import Benchmark, File, Published, Reading, Record, Source
from .files import agree, need, read_columns

_COLUMNS = 'image_id class_id super_class_id path'


def read_sop(root: str | Path) -> Reading:
    """Stanford Online Products (Song et al., CVPR 2016, https://arxiv.org/abs/1511.06452).

    A class is one product; the 12 kinds of product are the super-classes. The official split is
    open-set. There are no boxes.
    """
    root = Path(root).expanduser()
    need(root, ('Ebay_train.txt', 'Ebay_test.txt'), SOP)
    entries: list[tuple[str, int, bool]] = []
    kinds: dict[int, tuple[str, str]] = {}
    for side in ('train', 'test'):
        path = root / f'Ebay_{side}.txt'
        for number, (_, class_id, _, file) in read_columns(path, _COLUMNS, skip=1):
            kind = side, file.partition('/')[0].removesuffix('_final')
            if not class_id.isdecimal():
                raise ValueError(f'{path}, line {number}: {class_id!r} is no class_id')
            agree(kinds, int(class_id), kind, f'{path}, line {number}')
            entries.append((file, int(class_id), side == 'train'))
    index = {class_id: i for i, class_id in enumerate(sorted(kinds))}
    folder = f'{root}/'  # one Path an image would take most of the time
    records = [
        Record(folder + file, index[class_id], is_train, None)
        for file, class_id, is_train in entries
    ]
    super_classes = [kinds[class_id][1] for class_id in index]
    names = [f'{kind}_{class_id}' for class_id, kind in zip(index, super_classes, strict=True)]
    return Reading(records, names, super_classes)


SOP = Benchmark(
    read_sop,
    title='Stanford Online Products',
    homepage='https://cvgl.stanford.edu/projects/lifted_struct/',
    layout="""  ROOT/Ebay_train.txt  ROOT/Ebay_test.txt
  ROOT/bicycle_final/*.JPG  ROOT/cabinet_final/*.JPG ...""",
    published=Published(
        'Song et al., arXiv:1511.06452', open_classes=(11318, 11316), open_images=(59551, 60502)
    ),
    source=Source(
        terms='Research; the photographs belong to eBay sellers. Cite Song et al., Deep Metric '
        'Learning via Lifted Structured Feature Embedding, CVPR 2016.',
        root='data/Stanford_Online_Products',
        files=(
            File(
                'Stanford_Online_Products.zip',
                # From TensorFlow Datasets' table, which was made from the same address.
                'sha256:b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48',
            ),
        ),
        base='http://ftp.cs.stanford.edu/cs/cvgl/',
        top='Stanford_Online_Products',
        boxes=False,
    ),
)
