"""The command ``boxes``: arguments -> config -> a file of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dva_mm.files import check_writable

from .arguments import parse_arguments

if TYPE_CHECKING:
    from mmengine.config import Config

    from dva_mm.datasets.record import Record


def main(argv: list[str] | None = None) -> None:
    """Write a file of boxes: ``CONFIG --detector type=TYPE key=value [options]``.

    Args:
        argv: The arguments. Defaults to the command line's.

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
    from .summary import summary

    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    kind = find_source(args.detector)
    data = cfg.train_dataloader.dataset
    records = read_records(data, args.split)
    root = image_root(data.data_root)
    out = args.out or check_writable(
        Path('work_dirs') / 'boxes' / f'{root.name}_{args.split}_{kind.source}.jsonl', '--out'
    )
    source = build_source(
        args.detector,
        encoder=cfg.model.backbone.to_dict(),
        data_preprocessor=cfg.model.get('data_preprocessor', {}),
        records=records,
        device=args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
    )
    if not cache_boxes(
        source,
        root,
        [record.path for record in records],
        out,
        batch_size=args.batch_size or getattr(kind, 'batch_size', 32),
        num_workers=args.num_workers,
        shard=args.shard,
    ):
        print(f'shard {args.shard[0]}/{args.shard[1]} is done; the last one writes {out}')
        return
    entries = list(read_box_file(out)[1].values())
    print(summary(entries))
    if args.sheet:
        chosen = choose_entries(entries, args.sheet_count, args.sheet_order)
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(chosen, root).save(args.sheet)
        print(f'sheet: {args.sheet}')
    print(f'boxes: {out}')


def read_records(data: Config, split: str) -> list[Record]:
    """The images of a config's training data set: its training side, or all of its reader's.

    The reader is asked, not the data set: that one may want the very file that is to be written.

    Args:
        data: Config of a FineGrainedDataset.
        split: 'train' or 'all'.

    Raises:
        FileNotFoundError: If the data are not there.
        ValueError: If the data set is none of ours.
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
