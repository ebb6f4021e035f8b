"""The command line of tools/cache_boxes.py, checked before any long work."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import DictAction

KEEP = {'attention': 0.7, 'rollout': 0.5, 'patch-pca': 0.95}
"""Share of the map to keep, where none is given. See docs/datasets.md for how it was chosen."""
BATCH_SIZES = {'grounding-dino': 4}
"""Images a forward, where none are given, of sources other than the usual 32."""
SHEETS = ('.png', '.jpg', '.jpeg')
_DETECTOR = ('prompt', 'model', 'box_threshold', 'text_threshold')
_OPTIONS = {
    'annotation': (),
    'attention': ('keep', 'img_size', 'block', 'rollout'),
    'grounding-dino': _DETECTOR,
    'patch-pca': ('keep', 'img_size'),
}
SOURCES = tuple(_OPTIONS)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The options, with the defaults of the source filled in.

    Raises:
        SystemExit: if one has another form.
        ValueError: if one is of another source or out of range, or a target cannot be written.
    """
    args = _parser().parse_args(argv)
    _check_source(args)
    for name in ('batch_size', 'img_size', 'sheet_count'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f'{_flag(name)} must be at least 1, got {value}')
    if args.num_workers < 0:
        raise ValueError(f'--num-workers must be at least 0, got {args.num_workers}')
    if args.sheet and Path(args.sheet).suffix.lower() not in SHEETS:
        raise ValueError(f'--sheet must end in {", ".join(SHEETS)}, got {args.sheet}')
    for name in ('out', 'sheet'):
        if getattr(args, name):
            check_target(Path(getattr(args, name)).expanduser(), _flag(name))
    if args.batch_size is None:
        args.batch_size = BATCH_SIZES.get(args.source, 32)
    args.shard = args.shard or (0, 1)
    return args


def detector_options(args: argparse.Namespace) -> dict:
    """Grounding DINO's options that were given; the class knows the others."""
    given = {name: getattr(args, name) for name in _DETECTOR}
    return {name: value for name, value in given.items() if value is not None}


def check_target(file: Path, name: str) -> None:
    """Check that a file can be written, and create nothing.

    Args:
        file: Its folders need not exist.
        name: What it is, for the message.

    Raises:
        ValueError: if it is a folder, or its folder cannot be made or written to.
    """
    if file.is_dir():
        raise ValueError(f'{name} is a folder: {file}; give a file in it')
    folder = next(folder for folder in file.absolute().parents if folder.exists())
    if not folder.is_dir():
        raise ValueError(f'{name} {file} cannot be written: {folder} is no folder')
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f'{name} {file} cannot be written: no right to write to {folder}')


def _check_source(args: argparse.Namespace) -> None:
    for name in sorted(set().union(*_OPTIONS.values()) - set(_OPTIONS[args.source])):
        if getattr(args, name) is not None:
            sources = ' and '.join(source for source in SOURCES if name in _OPTIONS[source])
            raise ValueError(
                f'{_flag(name)} is an option of --source {sources}; --source {args.source} does '
                'not know it'
            )
    if args.source == 'annotation' and args.shard:
        raise ValueError('--source annotation needs no --shard: it looks at no pixels')
    if args.source == 'grounding-dino' and not args.prompt:
        raise ValueError("--source grounding-dino needs a --prompt such as 'a bird.'")


def _flag(name: str) -> str:
    return '--' + name.replace('_', '-')


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition('/')
    try:
        shard = int(index), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError('expected I/N, such as 0/4') from None
    if not 0 <= shard[0] < shard[1]:
        raise argparse.ArgumentTypeError(f'expected I/N with 0 <= I < N, got {text}')
    return shard


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
    sizes = ''.join(f', {source} {size}' for source, size in BATCH_SIZES.items())
    parser.add_argument('--batch-size', type=int, help=f'images a forward; default: 32{sizes}')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that read images')
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu, cuda or cuda:I; default: the GPU where there is one',
    )
    parser.add_argument(
        '--shard',
        type=_shard,
        metavar='I/N',
        help='run N processes with I = 0 ... N-1: the last to finish writes the file',
    )
    maps = parser.add_argument_group('--source attention and patch-pca: the frozen encoder')
    shares = ', '.join(f'{method} {share}' for method, share in KEEP.items())
    maps.add_argument('--keep', type=float, help=f'share of the map to keep; default: {shares}')
    maps.add_argument(
        '--img-size',
        type=int,
        help="the encoder's input; default: the config's. A larger one gives a finer grid",
    )
    which = maps.add_mutually_exclusive_group()
    which.add_argument('--block', type=int, help='attention: its block; default: -3')
    which.add_argument(
        '--rollout',
        action='store_true',
        default=None,
        help='attention: followed through all blocks',
    )
    dino = parser.add_argument_group('--source grounding-dino')
    dino.add_argument('--prompt', help="the images' super-class, such as 'a bird.'")
    dino.add_argument(
        '--model', help='name on the hub, or a folder; default: IDEA-Research/grounding-dino-base'
    )
    dino.add_argument('--box-threshold', type=float, help='default: 0.35')
    dino.add_argument('--text-threshold', type=float, help='changes no box; default: 0.25')
    sheet = parser.add_argument_group('contact sheet')
    sheet.add_argument('--sheet', help='picture (.png, .jpg) of the boxes to write')
    sheet.add_argument('--sheet-count', type=int, default=100, help='boxes on it; default: 100')
    sheet.add_argument('--sheet-order', choices=['worst', 'random'], default='worst')
    return parser
