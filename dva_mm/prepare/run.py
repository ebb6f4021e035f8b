"""The command that prepares a data set: arguments, exit codes and what is printed."""

import argparse
import sys

from dva_mm.files import check_writable

DESCRIPTION = 'Download, verify, unpack and check a data set: a benchmark, or data of your own.'


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('dva-mm prepare', description=DESCRIPTION)
    text = 'such as cub, or folder and csv with --check --root FOLDER; an unknown one lists all'
    parser.add_argument('name', metavar='NAME', help=text)
    parser.add_argument('--root', help='folder of the data set; default: where the configs look')
    parser.add_argument('--check', action='store_true', help='only check what is there')
    parser.add_argument('--keep-archive', action='store_true', help='keep what was downloaded')
    parser.add_argument('--archives', help='folder of archives; default: downloads/NAME beside it')
    parser.add_argument('--url-base', help='a mirror that serves the files by their names')
    parser.add_argument('--workers', type=_count, default=4, help='images checked at a time')
    parser.add_argument('--fast', action='store_true', help='check the headers of images only')
    parser.add_argument('--report', help='JSON file for the whole report')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Prepare or check a data set.

    Args:
        argv: The arguments. Default: the command line's.

    Returns:
        0: all is well. 1: the data are damaged or, with --check, anything else is wrong. 2: it
        could not be done.

    >>> main(['cub', '--check', '--root', 'nowhere'])
    2
    """
    parser = _make_parser()
    args = parser.parse_args(argv)
    from dva_mm.datasets.benchmarks import BENCHMARKS

    from .benchmark import prepare_benchmark, train_command
    from .check import check_data

    names = [name for name, benchmark in BENCHMARKS.items() if benchmark.layout]
    if args.name not in names:
        parser.error(f'NAME must be one of {", ".join(names)}, got {args.name!r}')
    source = BENCHMARKS[args.name].source
    if source is None and not (args.check and args.root):
        parser.error(f'{args.name} cannot be downloaded here: give --check and --root FOLDER')
    root = args.root or source.root
    try:
        if args.report:
            check_writable(args.report, '--report')
        if not args.check:
            prepare_benchmark(args.name, root, args.archives, args.url_base, args.keep_archive)
        report = check_data(root, args.name, workers=args.workers, fast=args.fast)
        print(report)
        if args.report:
            report.save(args.report)
    except (OSError, ValueError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    if source and report.damage:
        print(f'Move {root} away and run this without --check to unpack it anew')
    print(f'found: {report.images:,} images of {report.classes:,} classes in {root}')
    if source:
        print('train:', train_command(args.name, root).replace('\n', '\n       '))
    return 1 if report.damage or (args.check and not report.ok) else 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a number of at least 1, got {text!r}')
    return int(text)
