"""The command line of ``boxes``, checked before any long work; imports nothing heavy."""

import argparse
import ast
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from dva_mm.files import check_writable

SHEETS = ('.png', '.jpg', '.jpeg')


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The options of the command.

    Raises:
        SystemExit: If one has another form.
        ValueError: If one is out of range, or a target cannot be written.

    >>> parse_arguments(['cfg.py', '--detector', 'type=PatchPCA', 'keep=0.9']).detector
    {'type': 'PatchPCA', 'keep': 0.9}
    """
    args = _parser().parse_args(argv)
    args.detector = dict(args.detector)
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


def _option(text: str) -> tuple[str, Any]:
    """'key=value' as a pair. MMEngine's DictAction would take the spaces out of a prompt."""
    key, equals, value = text.partition('=')
    if not (key and equals):
        raise argparse.ArgumentTypeError(f'expected key=value, such as keep=0.9, got {text}')
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, dict(true=True, false=False, none=None).get(value.lower(), value)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f'expected I/N with 0 <= I < N, such as 0/4, got {text}')
    return int(index), int(count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write each image's box into one file")
    parser.add_argument('config', help='a config file, or dva_mm::NAME.py')
    parser.add_argument(
        '--detector',
        nargs='+',
        type=_option,
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
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='as in training')
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
    sheet = parser.add_argument_group('contact sheet')
    sheet.add_argument('--sheet', help='picture (.png, .jpg) of the boxes to write')
    sheet.add_argument('--sheet-count', type=int, default=100, help='boxes on it; default: 100')
    sheet.add_argument('--sheet-order', choices=['worst', 'random'], default='worst')
    return parser
