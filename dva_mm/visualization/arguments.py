"""Arguments of the command that makes pages, and what can be said about them at once."""

import argparse
import importlib.util
from pathlib import Path

from dva_mm.arguments import ConfigOptions
from dva_mm.files import check_writable

SUFFIXES = ('.html', '.htm')


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse and check; nothing long has begun when this raises.

    Args:
        argv: Arguments. None takes the command line's.

    Raises:
        SystemExit: If the arguments cannot be parsed, or help was asked for.
        ValueError: If they do not go together, or a file cannot be written.
        FileNotFoundError: If a file that they name does not exist.
        ImportError: If a library of the extra 'viz' is needed and missing.
    """
    args = _parser().parse_args(argv)
    args.out = check_writable(args.out, '--out')
    if args.out.suffix not in SUFFIXES:
        raise ValueError(f'--out {args.out} is to be a page: end its name in .html')
    for flag in ('queries', 'topk', 'views', 'looks'):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise ValueError(f'--{flag} must be positive, got {value}')
    wants = {name: getattr(args, name) for name in ('views', 'boxes', 'looks')}
    if args.config is None:
        for name, value in wants.items():
            if value is not None:
                raise ValueError(f'--{name} needs a CONFIG')
        if not args.index and not args.curves:
            raise ValueError('nothing to show: give a CONFIG, --index DIR or --curves WORK_DIR')
    for option, file in (('CHECKPOINT', args.checkpoint), ('--boxes', args.boxes)):
        if file is not None and not Path(file).expanduser().is_file():
            raise FileNotFoundError(f'{option} {file} does not exist')
    for flag in ('png', 'looks_png'):
        if getattr(args, flag) is not None:
            setattr(args, flag, check_writable(getattr(args, flag), f'--{flag.replace("_", "-")}'))
    if args.png and args.config is None:
        raise ValueError('--png needs a CONFIG')
    if args.looks_png and args.looks is None:
        raise ValueError('--looks-png needs --looks')
    if args.map and args.config is None and not args.index:
        raise ValueError('--map needs a CONFIG or --index')
    for wanted, module, package in (
        (args.looks, 'pytorch_grad_cam', 'grad-cam'),
        (args.map, 'openTSNE', 'openTSNE'),
    ):
        if wanted and importlib.util.find_spec(module) is None:
            raise ImportError(f'{package} is not installed: pip install "dva_mm[viz]"')
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='dva-mm show',
        description='Show what a model retrieves, and more, on one HTML page without network; with '
        '--views or --boxes alone no model runs',
    )
    parser.add_argument('config', nargs='?', help='a config file, or dva_mm::NAME.py')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='shown beside the frozen encoder; default: the frozen encoder alone',
    )
    parser.add_argument('--out', required=True, help='page to write, ending in .html')
    parser.add_argument('--index', metavar='DIR', help='show an index: its images ask one another')
    parser.add_argument('--boxes', metavar='FILE', help="show a file of the data set's boxes")
    parser.add_argument(
        '--views',
        type=int,
        nargs='?',
        const=12,
        metavar='N',
        help='show N training images as the pipeline makes them, default 12',
    )
    parser.add_argument(
        '--curves', nargs='+', metavar='WORK_DIR', help='show losses and metrics of these runs'
    )
    parser.add_argument('--map', action='store_true', help='show the embeddings as a 2-D map')
    parser.add_argument(
        '--looks',
        type=int,
        nargs='?',
        const=8,
        metavar='N',
        help='show where the model looks in N images, default 8',
    )
    parser.add_argument('--png', metavar='FILE', help='write queries and hits as a picture as well')
    parser.add_argument('--looks-png', metavar='FILE', help='write --looks as a picture as well')
    parser.add_argument(
        '--queries', type=int, default=5000, help='at most so many, drawn by --seed; default 5000'
    )
    parser.add_argument('--topk', type=int, default=8, help='hits shown per query, default 8')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, help='as in tools/train.py'
    )
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--workers', type=int, default=2, help='processes that read images')
    parser.add_argument('--device', help='cpu, cuda or cuda:I; default: the GPU where there is one')
    return parser
