"""What tools/cache_boxes.py runs: arguments -> config -> a file of boxes."""

import argparse
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmpretrain.registry import MODELS
from tqdm import tqdm

from dva_mm.config import load_config
from dva_mm.datasets.benchmarks import BENCHMARKS
from dva_mm.datasets.box_file import (
    FALLBACK,
    BoxEntry,
    image_root,
    make_header,
    read_box_file,
    relative_paths,
    write_box_file,
)
from dva_mm.datasets.exif import image_size
from dva_mm.datasets.protocols import PROTOCOLS
from dva_mm.datasets.record import Record
from dva_mm.detection.contact_sheet import choose_entries, contact_sheet
from dva_mm.engine.data import merge_options

from .arguments import KEEP, check_target, detector_options, parse_arguments
from .attention import attention_rollout, class_attention
from .cache import cache_boxes, make_entry
from .detector import Detection, Detector
from .grounding_dino import GroundingDinoDetector
from .map_detector import MapDetector
from .patch_pca import patch_pca


def main(argv: list[str] | None = None) -> None:
    """Write a file of boxes: ``tools/cache_boxes.py CONFIG --source SOURCE [options]``."""
    args = parse_arguments(argv)
    cfg = _load(args)
    data = cfg.train_dataloader.dataset
    records = read_records(data, args.split)
    root = image_root(data.data_root)
    out = Path(args.out or _default_out(root, args)).expanduser()
    check_target(out, '--out')  # the default one: a given one has been checked
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
    entries = list(read_box_file(out)[1].values())
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
    reading = BENCHMARKS[data.get('reader', 'cub')].read(data.data_root)
    if split == 'all':
        return reading.records
    # Classes that val_classes holds out are training classes here: one file serves both.
    return PROTOCOLS[data.get('protocol', 'open')](reading, split)


def write_annotations(records: Sequence[Record], data_root: Path, out: Path) -> None:
    """Write the data set's own boxes, with score 1; an image without one is a fallback.

    Of an image that is listed with several boxes the largest is kept: OPA knows one object.
    """
    images = relative_paths((record.path for record in records), data_root)
    entries: dict[str, BoxEntry] = {}
    for image, record in zip(images, tqdm(records, desc='annotation'), strict=True):
        found = None if record.box is None else Detection(record.box, 1.0)
        entry = make_entry(image, image_size(record.path), found, 'annotation')
        entries[image] = max(entries.get(image, entry), entry, key=_found_area)
    write_box_file(out, make_header('annotation', {}, list(entries)), entries.values())


def _found_area(entry: BoxEntry) -> float:
    return 0.0 if entry.source == FALLBACK else (entry.x2 - entry.x1) * (entry.y2 - entry.y1)


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


def _load(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    return cfg


def _default_out(root: Path, args: argparse.Namespace) -> Path:
    return Path('work_dirs') / 'boxes' / f'{root.name}_{args.split}_{args.source}.jsonl'


def _detector(cfg: Config, args: argparse.Namespace) -> Detector:
    if args.source == 'grounding-dino':
        return GroundingDinoDetector(**detector_options(args), device=args.device)
    backbone = {**cfg.model.backbone, 'tuning': None}
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
