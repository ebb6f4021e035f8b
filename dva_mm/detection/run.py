"""What tools/cache_boxes.py runs: arguments -> config -> a file of boxes."""

import argparse
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmpretrain.registry import MODELS
from tqdm import tqdm

from dva_mm.config import load_config
from dva_mm.contact_sheet import choose_entries, contact_sheet
from dva_mm.datasets.box_cache import (
    FALLBACK,
    BoxEntry,
    image_root,
    image_size,
    make_header,
    read_box_cache,
    relative_paths,
    write_box_cache,
)
from dva_mm.datasets.protocols import PROTOCOLS
from dva_mm.datasets.readers import READERS, Record
from dva_mm.engine.launch import merge_options

from .attention import attention_rollout, class_attention
from .cache import cache_boxes, make_entry
from .detector import Detection, Detector
from .grounding_dino import GroundingDinoDetector
from .map_detector import MapDetector
from .patch_pca import patch_pca

SOURCES = ('annotation', 'attention', 'grounding-dino', 'patch-pca')
KEEP = {'attention': 0.7, 'rollout': 0.5, 'patch-pca': 0.95}
"""Share of the map to keep, where none is given. See docs/datasets.md for how it was chosen."""


def main(argv: list[str] | None = None) -> None:
    """Write a file of boxes: ``tools/cache_boxes.py CONFIG --source SOURCE [options]``."""
    args = _parser().parse_args(argv)
    cfg = _load(args)
    data = cfg.train_dataloader.dataset
    records = read_records(data, args.split)
    root = image_root(data.data_root)
    out = Path(args.out or _default_out(root, args)).expanduser()
    paths = [record.path for record in records]
    if args.source == 'annotation':
        write_annotations(records, root, out)
        complete = True
    else:
        complete = cache_boxes(
            _detector(cfg, args),
            root,
            paths,
            out,
            batch_size=args.batch_size,
            num_workers=args.num_workers,
            shard=args.shard,
        )
    if not complete:
        print(f'shard {args.shard[0]}/{args.shard[1]} is done; the last one writes {out}')
        return
    entries = list(read_box_cache(out)[1].values())
    print(summary(entries))
    if args.sheet:
        chosen = choose_entries(entries, args.sheet_count, args.sheet_order)
        sheet = Path(args.sheet).expanduser()
        sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(chosen, root).save(sheet)
        print(f'sheet: {sheet}')
    print(f'boxes: {out}')


def read_records(data: Config, split: str) -> list[Record]:
    """The images of a config's training data set: its training side, or all of its reader's.

    The reader is asked, not the data set: that one may want the very file that is to be written.

    Raises:
        FileNotFoundError: if the data are not there.
        ValueError: if the data set is none of ours.
    """
    if data.get('type') != 'FineGrainedDataset':
        raise ValueError(
            f'boxes are cached for a FineGrainedDataset, train_dataloader.dataset is a '
            f'{data.get("type")}'
        )
    reading = READERS[data.get('reader', 'cub')](data.data_root)
    if split == 'all':
        return reading.records
    # Classes that val_classes holds out are training classes here: one file serves both.
    return PROTOCOLS[data.get('protocol', 'open')](reading, split)


def write_annotations(records: Sequence[Record], data_root: Path, out: Path) -> None:
    """Write the data set's own boxes, with score 1; an image without one is a fallback."""
    images = relative_paths((record.path for record in records), data_root)
    entries = []
    for image, record in zip(images, tqdm(records, desc='annotation'), strict=True):
        found = None if record.box is None else Detection(record.box, 1.0)
        entries.append(make_entry(image, image_size(record.path), found, 'annotation'))
    write_box_cache(out, make_header('annotation', {}, images), entries)


def summary(entries: Sequence[BoxEntry]) -> str:
    """Number of boxes by source, quartiles of their scores and of their share of the image."""
    sources = Counter(entry.source for entry in entries)
    lines = [f'{len(entries)} images: ' + ', '.join(f'{n} {s}' for s, n in sources.most_common())]
    found = [entry for entry in entries if entry.source != FALLBACK]
    areas = [(e.x2 - e.x1) * (e.y2 - e.y1) / (e.width * e.height) for e in found]
    for name, values in (('score', [e.score for e in found]), ('box / image area', areas)):
        if values:
            values = sorted(values)
            low, middle, high = (values[round(q * (len(values) - 1))] for q in (0.25, 0.5, 0.75))
            lines.append(f'{name}: median {middle:.3f}, middle half {low:.3f} to {high:.3f}')
    return '\n'.join(lines)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition('/')
    return int(index), int(count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write each image's box into one file")
    parser.add_argument('config', help='a config file, or dva_mm::NAME.py')
    parser.add_argument('--source', choices=SOURCES, required=True)
    parser.add_argument(
        '--out', help='file to write; default: work_dirs/boxes/DATA_SPLIT_SOURCE.jsonl'
    )
    parser.add_argument(
        '--split', choices=['train', 'all'], default='train', help='training needs train alone'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in tools/train.py')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read images')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu, cuda or cuda:I; default: the GPU where there is one',
    )
    parser.add_argument(
        '--shard',
        type=_shard,
        default=(0, 1),
        metavar='I/N',
        help='run N processes with I = 0 ... N-1: the last to finish writes the file',
    )
    maps = parser.add_argument_group('--source attention and patch-pca: the frozen encoder')
    maps.add_argument('--keep', type=float, help=f'share of the map to keep; default: {KEEP}')
    maps.add_argument(
        '--img-size',
        type=int,
        help="the encoder's input; default: the config's. A larger one gives a finer grid",
    )
    which = maps.add_mutually_exclusive_group()
    which.add_argument('--block', type=int, help='block of the attention; default: -3')
    which.add_argument('--rollout', action='store_true', help='attention through all blocks')
    dino = parser.add_argument_group('--source grounding-dino')
    dino.add_argument('--prompt', help="the images' super-class, such as 'a bird.'")
    dino.add_argument(
        '--model', default='IDEA-Research/grounding-dino-base', help='name on the hub, or a folder'
    )
    dino.add_argument('--box-threshold', type=float, default=0.35)
    dino.add_argument('--text-threshold', type=float, default=0.25)
    sheet = parser.add_argument_group('contact sheet')
    sheet.add_argument('--sheet', help='picture (.png, .jpg) of the boxes to write')
    sheet.add_argument('--sheet-count', type=int, default=100)
    sheet.add_argument('--sheet-order', choices=['worst', 'random'], default='worst')
    return parser


def _load(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    return cfg


def _default_out(root: Path, args: argparse.Namespace) -> Path:
    return Path('work_dirs') / 'boxes' / f'{root.name}_{args.split}_{args.source}.jsonl'


def _detector(cfg: Config, args: argparse.Namespace) -> Detector:
    if args.source == 'grounding-dino':
        if not args.prompt:
            raise ValueError("--source grounding-dino needs a --prompt such as 'a bird.'")
        return GroundingDinoDetector(
            args.prompt, args.model, args.box_threshold, args.text_threshold, args.device
        )
    backbone = {**cfg.model.backbone, 'ica': None, 'tuning': None}
    if backbone.get('type') != 'FrozenViT':
        raise ValueError(
            f'--source {args.source} needs a FrozenViT, model.backbone is a {backbone.get("type")}'
        )
    if args.img_size:
        backbone['img_size'] = args.img_size
    method, saliency, options = args.source, patch_pca, {}
    if args.source == 'attention' and args.rollout:
        method, saliency, options = 'rollout', attention_rollout, dict(rollout=True)
    elif args.source == 'attention':
        options = dict(block=-3 if args.block is None else args.block)
        saliency = partial(class_attention, **options)
    return MapDetector(
        args.source,
        MODELS.build(backbone),
        cfg.model.get('data_preprocessor') or {},
        saliency,
        keep=KEEP[method] if args.keep is None else args.keep,
        options=options,
        device=args.device,
    )
