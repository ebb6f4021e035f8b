"""The command ``study``: arguments -> a matrix of runs -> results, tables and plots."""

import argparse
import os
import signal
import sys
from pathlib import Path

from dva_mm.arguments import ConfigOptions
from dva_mm.files import check_writable, replace_atomically


def main(argv: list[str] | None = None) -> int:
    """Run a study: ``STUDY [options]``, or fill a page with the tables: ``--docs PAGE``.

    Returns:
        0: all is done. 1: a run failed; the others are done.

    Raises:
        ValueError: If an option or the study file is wrong; before anything runs.
        FileNotFoundError: If the study, a config or the data are not there.
    """
    args = parse_arguments(argv)
    from .docs import fill_page
    from .results import put_header
    from .study_file import load_study

    done = True
    if args.study:
        study = load_study(args.study, args.cfg_options)
        results = check_writable(Path(args.out) / f'{study.name}.jsonl', '--out')
        if args.tables:
            put_header(results, study.header())
        else:
            done = _run(study, results, args)
        if not args.dry_run:
            _write(results, args.png)
    if args.docs:
        changed = fill_page(args.docs, args.out)
        print(f'{args.docs}: {"written" if changed else "as it should be"}')
    return 0 if done else 1


def _run(study, results: Path, args: argparse.Namespace) -> bool:
    from dataclasses import replace

    from .launcher import Launcher
    from .schedule import Schedule

    rows = study.rows
    if args.only:
        labels = [row.label for row in rows]
        if unknown := [label for label in args.only if label not in labels]:
            raise ValueError(f'--only {unknown[0]!r}: no row has this label; there are {labels}')
        rows = [row for row in rows if row.label in args.only]
    if args.seeds:
        study = replace(study, seeds=tuple(args.seeds))
    threads = max(1, (os.cpu_count() or 1) // args.jobs) if args.jobs > 1 else 0
    launcher = Launcher(args.launcher, args.nproc, threads)
    work_dir = Path(args.work_dir) / study.name
    schedule = Schedule(study, results, work_dir, launcher, args.jobs)
    if args.dry_run:
        for run, is_done in schedule.plan(rows):
            options = ''.join(f' {name}={value}' for name, value in run.chosen.items())
            print(f'{"done " if is_done else "to do"}  {run.name}: {run.row.shown}{options}')
        return True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the runs end as well
    return schedule.run(rows)


def _write(results: Path, png: bool) -> None:
    """Write ``NAME.md``, ``NAME.csv`` and ``NAME.svg`` beside the results."""
    from .plots import draw
    from .results import read_results
    from .tables import as_csv, markdown

    header, lines = read_results(results)
    files = {'.md': markdown(header, lines).encode(), '.csv': as_csv(header, lines).encode()}
    files |= {f'.{kind}': draw(header, lines, kind) for kind in ('svg', *('png',) * png)}
    for suffix, content in files.items():
        if content is not None:
            with replace_atomically(results.with_suffix(suffix)) as partial:
                partial.write_bytes(content)
    print(f'table: {results.with_suffix(".md")}')


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The options of the command.

    >>> parse_arguments(['study.py', '--jobs', '2']).jobs
    2
    """
    parser = argparse.ArgumentParser(
        'dva-mm study', description='Run configs x seeds, and write tables and plots of them.'
    )
    parser.add_argument('study', nargs='?', help='a study file, or dva_mm::studies/NAME.py')
    parser.add_argument('--out', default='results', help='folder of results; default: results')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/studies',
        help='folder of the runs; default: work_dirs/studies',
    )
    parser.add_argument('--jobs', type=_count, default=1, help='runs at once; default: 1')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--nproc', type=_count, default=1, help='processes a run, with pytorch')
    parser.add_argument('--only', nargs='+', metavar='ROW', help='these rows alone')
    parser.add_argument('--seeds', nargs='+', type=int, help="instead of the study's")
    parser.add_argument('--dry-run', action='store_true', help='list the runs')
    parser.add_argument('--tables', action='store_true', help='write tables and plots, run nothing')
    parser.add_argument('--png', action='store_true', help='write the plot as PNG too')
    parser.add_argument('--docs', metavar='PAGE', help="put the tables into a page's blocks")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='change the configs of all rows, as in training',
    )
    args = parser.parse_args(argv)
    if not (args.study or args.docs):
        parser.error('give a study file, or --docs PAGE')
    if args.nproc > 1 and args.launcher == 'none':
        parser.error('--nproc needs --launcher pytorch')
    return args


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a number of at least 1, got {text!r}')
    return int(text)
