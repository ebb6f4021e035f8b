"""The commands that look after an index: duplicates, cluster, check and remove."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dva_mm.files import check_writable

from .arguments import OUT, add_where, guarded, positive, printable, read_where
from .output import item_line, print_json, shown_item, write_page

if TYPE_CHECKING:
    from .items import Item


def duplicates_main(argv: Sequence[str] | None = None) -> int:
    """Print groups of images that are nearly the same; ``dva-mm duplicates -h``.

    Args:
        argv: The arguments. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    parser = argparse.ArgumentParser(
        'dva-mm duplicates', description='Find the images of an index that are nearly the same.'
    )
    parser.add_argument('index', help=OUT)
    text = 'least cosine that links two images; default 0.98'
    parser.add_argument('--threshold', type=float, default=0.98, help=text)
    _add_output(parser)
    return guarded(parser, _duplicates, parser.parse_args(argv))


def _duplicates(args: argparse.Namespace) -> int:
    from .index import Index

    page = check_writable(args.html, '--html') if args.html else None
    with Index.open(args.index) as index:
        groups = index.duplicates(args.threshold)
    extra = sum(len(group) - 1 for group in groups)
    text = (
        f'cosine of at least {args.threshold:g}: groups: {len(groups):,}, extra images: {extra:,}'
    )
    _show(args, page, 'Duplicates', 'group', groups, text)
    return 0


def cluster_main(argv: Sequence[str] | None = None) -> int:
    """Sort the images of an index into clusters, and print them; ``dva-mm cluster -h``.

    Args:
        argv: The arguments. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    parser = argparse.ArgumentParser(
        'dva-mm cluster',
        description='Sort the images of an index into clusters by k-means; of each, the image '
        'nearest to its mean comes first.',
    )
    parser.add_argument('index', help=OUT)
    parser.add_argument('-k', type=positive, required=True, help='number of clusters')
    parser.add_argument('--seed', type=int, default=0, help='of the start; default 0')
    _add_output(parser)
    return guarded(parser, _cluster, parser.parse_args(argv))


def _cluster(args: argparse.Namespace) -> int:
    from .index import Index

    page = check_writable(args.html, '--html') if args.html else None
    with Index.open(args.index) as index:
        groups = index.cluster(args.k, args.seed)
        text = f'{len(index):,} images in {len(groups):,} clusters'
    _show(args, page, 'Clusters', 'cluster', groups, text)
    return 0


def check_main(argv: Sequence[str] | None = None) -> int:
    """Measure an approximate index against exact search; ``dva-mm check -h``.

    Args:
        argv: The arguments. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    parser = argparse.ArgumentParser(
        'dva-mm check',
        description='Ask an index for some of its own images: how many of the exact neighbours '
        'does it find, and how long does a query take, beside exact search?',
    )
    parser.add_argument('index', help=OUT)
    text = 'images that are asked for; default 100'
    parser.add_argument('--sample', type=positive, default=100, help=text)
    parser.add_argument('-k', type=positive, default=10, help='neighbours compared; default 10')
    parser.add_argument('--nprobe', type=positive, help='lists of an IVF index to look into')
    parser.add_argument('--json', action='store_true', help='print JSON')
    return guarded(parser, _check, parser.parse_args(argv))


def _check(args: argparse.Namespace) -> int:
    from .index import Index

    with Index.open(args.index) as index:
        found = index.check(args.sample, args.k, args.nprobe)
        name = printable(index)
    if args.json:
        print_json(found)
        return 0
    print(name)
    print(f'{100 * found["recall"]:.1f} % of the exact {args.k} nearest are found')
    print(f'{found["ms"]:.2f} ms a query, exact search {found["exact_ms"]:.2f} ms')
    return 0


def remove_main(argv: Sequence[str] | None = None) -> int:
    """Take images out of an index; ``dva-mm remove -h``.

    Args:
        argv: The arguments. Defaults to None: the command line's.

    Returns:
        Exit status: 0; 1 if the index does not have one of the paths.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    usage = 'dva-mm remove INDEX (PATH [PATH ...] | --where NAME=VALUE ...) [--json]'
    parser = argparse.ArgumentParser(
        'dva-mm remove',
        usage,
        'Take images out of an index; the files stay where they are. The folder that it is '
        'synced with brings those back that are still in it.',
    )
    parser.add_argument('index', help=OUT)
    parser.add_argument('paths', nargs='*', help='images, or folders with all below them')
    add_where(parser, 'images with this label, or value of the metadata')
    parser.add_argument('--json', action='store_true', help='print JSON')
    args = parser.parse_args(argv)
    if bool(args.paths) == bool(args.where):
        parser.error('give either paths or --where')
    return guarded(parser, _remove, args)


def _remove(args: argparse.Namespace) -> int:
    from .index import Index
    from .items import absolute

    with Index.open(args.index) as index:
        files = index.storage.files() if args.paths else {}
        unknown = []
        for given in args.paths:
            path = absolute(given)
            below = os.path.join(path, '')
            if path not in files and not any(name.startswith(below) for name in files):
                unknown.append(given)
        removed = index.remove(paths=args.paths, where=read_where(index, args.where))
        left = len(index)
    if args.json:
        print_json(dict(removed=removed, left=left, unknown=unknown))
    else:
        print(f'{removed:,} removed, {left:,} left')
        for given in unknown:
            print(f'not in the index: {printable(given)}')
    return 1 if unknown else 0


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument('--html', help='write a page with the pictures')


def _show(
    args: argparse.Namespace,
    page: str | None,
    title: str,
    what: str,
    groups: list[list['Item']],
    text: str,
) -> None:
    if args.json:
        print_json([[shown_item(item) for item in group] for group in groups])
    else:
        for number, group in enumerate(groups, 1):
            print(f'{what} {number} ({len(group):,} images)')
            for item in group:
                print(f'  {item_line(item)}')
        print(text)
    if page:
        from dva_mm.visualization.groups_page import groups_page

        write_page(page, groups_page(groups, title, what, text))
