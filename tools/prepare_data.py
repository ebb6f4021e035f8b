"""Download, verify, unpack and check a data set: python tools/prepare_data.py NAME

NAME is one of the benchmarks, or, with --check --root FOLDER, the format of data of your own.
"""

import argparse
import sys
from pathlib import Path

from dva_mm.prepare import SOURCES, check_data, prepare_data, train_command

OWN = ('folder', 'csv', 'inaturalist', 'inaturalist2018')


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit code.

    0: all is well. 1: the images are damaged or, with --check, anything else is wrong. 2: it could
    not be done.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', choices=[*SOURCES, *OWN])
    parser.add_argument('--root', help='folder of the data set; default: where the configs look')
    parser.add_argument('--check', action='store_true', help='only check what is there')
    parser.add_argument('--keep-archive', action='store_true', help='keep what was downloaded')
    parser.add_argument('--archives', help='folder of archives; default: downloads/NAME beside it')
    parser.add_argument('--url-base', help='a mirror that serves the files by their names')
    parser.add_argument('--workers', type=_count, default=4, help='images checked at a time')
    parser.add_argument('--fast', action='store_true', help='check the headers of images only')
    parser.add_argument('--report', help='JSON file for the whole report')
    args = parser.parse_args(argv)
    source = SOURCES.get(args.name)
    if source is None and not (args.check and args.root):
        parser.error(f'{args.name} cannot be downloaded here: give --check and --root FOLDER')
    root = args.root or source.root
    try:
        if args.report:
            _need_writable(Path(args.report))
        if not args.check:
            prepare_data(args.name, root, args.archives, args.url_base, args.keep_archive)
        reader = source.reader if source else args.name
        report = check_data(root, reader, workers=args.workers, fast=args.fast)
    except (OSError, ValueError, RuntimeError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(report)
    if source and report.damage:
        print(f'Move {root} away and run this without --check to unpack it anew')
    print(f'found: {report.images:,} images of {report.classes:,} classes in {root}')
    if source:
        print('train:', train_command(args.name, root).replace('\n', '\n       '))
    if args.report:
        try:
            report.save(args.report)
        except OSError as error:
            print(f'error: {error}', file=sys.stderr)
            return 2
    return 1 if report.damage or (args.check and not report.ok) else 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a number of at least 1, got {text!r}')
    return int(text)


def _need_writable(path: Path) -> None:
    """Raise OSError, before the long work, if ``path`` cannot be written later."""
    existed = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('a'):
            pass
    except OSError as error:
        raise OSError(f'--report {path} cannot be written: {error}') from error
    if not existed:
        path.unlink()


if __name__ == '__main__':
    sys.exit(main())
