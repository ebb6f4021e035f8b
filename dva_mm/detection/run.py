"""The command ``boxes``: arguments -> config -> a file of boxes. Heavy imports are late."""

import argparse
from pathlib import Path

from dva_mm.arguments import ConfigOptions
from dva_mm.files import check_writable

SHEETS = ('.png', '.jpg', '.jpeg')
MISSED_WARNED = 0.1
"""More misses than this share are warned of; a judgement, no measurement."""

MANY_MISSED = (
    f'over {MISSED_WARNED:.0%} of the boxes miss their object, and DVA trained with such boxes can '
    'end far below training without OPA; look at the sheet (--sheet), try another --detector or '
    "the data set's own boxes, or, where objects are near the middle, the transform CenterBox"
)


def main(argv: list[str] | None = None) -> None:
    """Write a file of boxes: ``CONFIG --detector type=TYPE key=value [options]``.

    Raises:
        ValueError: If an option, the config or a target is wrong; before any image is read.
        FileNotFoundError: If the config or the data are not there.
    """
    args = parse_arguments(argv)
    import torch

    from dva_mm.config import load_config
    from dva_mm.datasets.box_file import image_root, read_box_file
    from dva_mm.engine.data import merge_options

    from .cache import cache_boxes
    from .contact_sheet import choose_entries, contact_sheet
    from .source import build_source, find_source
    from .summary import agreement, summary

    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    kind = find_source(args.detector)
    data = cfg.train_dataloader.dataset
    records = _read_records(data, args.split)
    root = image_root(data.data_root)
    default = f'work_dirs/boxes/{root.name}_{args.split}_{kind.source}.jsonl'
    out = args.out or check_writable(default, '--out')
    source = build_source(
        args.detector,
        encoder=cfg.model.backbone.to_dict(),
        data_preprocessor=cfg.model.get('data_preprocessor', {}),
        records=records,
        device=args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
    )
    paths = [record.path for record in records]
    batch_size = args.batch_size or getattr(kind, 'batch_size', 32)
    if not cache_boxes(source, root, paths, out, batch_size, args.num_workers, args.shard):
        print(f'shard {args.shard[0]}/{args.shard[1]} is done; the last one writes {out}')
        return
    entries = list(read_box_file(out)[1].values())
    print(summary(entries))
    if kind.source != 'annotation' and (beside := agreement(entries, records, root)):
        print(beside)
        if beside.missed > MISSED_WARNED:
            print(f'warning: {MANY_MISSED}')
    if args.sheet:
        chosen = choose_entries(entries, args.sheet_count, args.sheet_order)
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(chosen, root).save(args.sheet)
        print(f'sheet: {args.sheet}')
    print(f'boxes: {out}')


def _read_records(data: dict, split: str) -> list:
    """The images of a data set's training side, or all of its reader's.

    The reader is asked: the data set may want the very file that is to be written.
    """
    from dva_mm.datasets.benchmarks import BENCHMARKS
    from dva_mm.datasets.protocols import PROTOCOLS

    if data.get('type') != 'FineGrainedDataset':
        raise ValueError(
            f'boxes are cached for a FineGrainedDataset, train_dataloader.dataset is a '
            f'{data.get("type")}'
        )
    reading = BENCHMARKS[data.get('reader', 'cub')].read(data.data_root)
    if split == 'all':
        return reading.records
    # Classes that val_classes holds out are training classes here: one file serves both.
    return PROTOCOLS[data.get('protocol', 'open')](reading, split)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The options of the command, checked before any long work.

    Raises:
        SystemExit: If one has another form.
        ValueError: If one is out of range, or a target cannot be written.

    >>> parse_arguments(['cfg.py', '--detector', 'type=PatchPCA', 'keep=0.9']).detector
    {'type': 'PatchPCA', 'keep': 0.9}
    """
    parser = argparse.ArgumentParser(
        prog='dva-mm boxes', description="Write each image's box into one file"
    )
    parser.add_argument('config', help='a config file, or dva_mm::NAME.py')
    parser.add_argument(
        '--detector',
        nargs='+',
        action=ConfigOptions,
        required=True,
        metavar='type=TYPE key=value',
        help='a source of boxes and its options, such as type=PatchPCA keep=0.95 or '
        'type=GroundingDINO "prompt=a bird."; a wrong type lists all',
    )
    parser.add_argument(
        '--out', help='file to write; default: work_dirs/boxes/DATA_SPLIT_SOURCE.jsonl'
    )
    parser.add_argument(
        '--split', choices=['train', 'all'], default='train', help='training needs train alone'
    )
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, help='as in training')
    parser.add_argument('--batch-size', type=int, help="images a forward; default: the source's")
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read images')
    parser.add_argument('--device', help='cpu, cuda or cuda:I; default: the GPU where there is one')
    parser.add_argument(
        '--shard',
        type=_shard,
        metavar='I/N',
        default=(0, 1),
        help='run N processes with I = 0 ... N-1: the last to finish writes the file',
    )
    parser.add_argument('--sheet', help='contact sheet (.png, .jpg) of the boxes to write')
    parser.add_argument('--sheet-count', type=int, default=100, help='boxes on it; default: 100')
    parser.add_argument('--sheet-order', choices=['worst', 'random'], default='worst')
    args = parser.parse_args(argv)
    for name, least in (('batch_size', 1), ('sheet_count', 1), ('num_workers', 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            flag = '--' + name.replace('_', '-')
            raise ValueError(f'{flag} must be at least {least}, got {value}')
    if args.sheet and Path(args.sheet).suffix.lower() not in SHEETS:
        raise ValueError(f'--sheet must end in {", ".join(SHEETS)}, got {args.sheet}')
    for name in ('out', 'sheet'):
        if getattr(args, name):
            setattr(args, name, check_writable(getattr(args, name), f'--{name}'))
    return args


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f'expected I/N with 0 <= I < N, such as 0/4, got {text}')
    return int(index), int(count)
