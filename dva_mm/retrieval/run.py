"""The commands ``dva-mm index`` and ``dva-mm search``."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from dva_mm.files import check_writable

from .arguments import (
    OUT,
    add_model,
    add_where,
    guarded,
    load_options,
    load_retriever,
    number,
    pair,
    positive,
    printable,
    read_where,
)
from .output import print_failures, print_hits, print_json, shown_hit, write_pages

INDEX = """\
Index a folder of images; no labels are needed. The same command goes on where it was stopped, and
brings the index up to date later, when --sync does without --model."""
SEARCH = """\
Find the images of an index that are most like each query."""


def index_main(argv: Sequence[str] | None = None) -> int:
    """Build an index, or bring it up to date.

    Args:
        argv: The arguments; see ``dva-mm index -h``. Defaults to None: the command line's.

    Returns:
        Exit status: 0; 1 if an image could not be read.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    parser = argparse.ArgumentParser('dva-mm index', description=INDEX)
    parser.add_argument('folder', help='folder of images, with all below it')
    parser.add_argument('--out', required=True, help=OUT)
    add_model(parser)
    parser.add_argument('--factory', help="faiss's approximate index, such as IVF4096,PQ64")
    parser.add_argument(
        '--labels', choices=['folder'], help="label each image by its folder's name"
    )
    parser.add_argument('--flip', action='store_true', help='average with the mirrored image')
    parser.add_argument('--batch-size', type=positive, default=64, help='images a forward; 64')
    parser.add_argument('--workers', type=int, default=2, help='processes that read images; 2')
    parser.add_argument(
        '--sync', action='store_true', help='bring an index that exists up to date, with its model'
    )
    args = parser.parse_args(argv)
    made_with = dict(factory=args.factory, flip=args.flip or None, labels=args.labels)
    if args.sync and any(made_with.values()):
        parser.error('--sync keeps --factory, --flip and --labels as the index was made with them')
    if not args.sync and not args.model:
        parser.error('--model is needed, or --sync for an index that exists')
    with _stoppable():
        return guarded(parser, _index, args)


def _index(args: argparse.Namespace) -> int:
    if not Path(args.folder).expanduser().is_dir():
        raise FileNotFoundError(f'there is no folder of images {args.folder}')
    from .index import Index

    options: dict[str, Any] = dict(batch_size=args.batch_size, workers=args.workers)
    options['distributed'] = _start_processes()
    if args.sync:
        index = Index.open(args.out)
        if args.model:
            index.use(load_retriever(args))
        else:
            index.load_options = load_options(args)
        index.sync(args.folder, **options)
    else:
        made_with = dict(factory=args.factory, flip=args.flip, labels=args.labels)
        index = Index.build(load_retriever(args), args.folder, args.out, **made_with, **options)
    change = index.last_change
    if change is None:  # not the first process
        return 0
    print(f'{printable(index)}: {change}')
    print_failures(change.failures, 'and are left out')
    return 1 if change.failures else 0


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the work as Ctrl-C does: what is embedded is kept."""
    old = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # nohup's is left alone
                old[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _start_processes() -> bool:
    """Join the processes that torchrun started, if it did."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        return False
    import torch.distributed as dist

    from .change import PATIENCE

    if not dist.is_initialized():
        dist.init_process_group('gloo', timeout=PATIENCE)  # vectors go through files
    return True


def search_main(argv: Sequence[str] | None = None) -> int:
    """Search an index by pictures, and print the hits.

    Args:
        argv: The arguments; see ``dva-mm search -h``. Defaults to None: the command line's.

    Returns:
        Exit status: 0; 1 if a query could not be read.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    usage = 'dva-mm search INDEX QUERY [QUERY ...] [options]'  # lists of values come last
    parser = argparse.ArgumentParser('dva-mm search', usage, SEARCH)
    parser.add_argument('index', help=OUT)
    parser.add_argument('queries', nargs='+', help='image files')
    add_model(parser, 'another place of the model that the index was made with')
    parser.add_argument('-k', type=positive, default=10, help='hits a query; 10')
    text = 'only images with this label, or value of the metadata; several of one NAME: any'
    add_where(parser, text)
    parser.add_argument('--min-score', type=float, help='leave out hits of a lower score')
    parser.add_argument('--exclude-self', action='store_true', help="leave out the query's file")
    parser.add_argument('--exact', action='store_true', help='of an approximate index too')
    parser.add_argument('--nprobe', type=positive, help='lists of an IVF index to look into')
    parser.add_argument(
        '--rerank',
        nargs='+',
        metavar=('TYPE', 'OPTION=VALUE'),
        help='rank better: AQE, DBA or KReciprocal, such as --rerank AQE n=10 alpha=3',
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument('--html', help='write a page with the pictures')
    return guarded(parser, _search, parser.parse_args(argv))


def _search(args: argparse.Namespace) -> int:
    if not any(map(os.path.isfile, args.queries)):
        raise FileNotFoundError(f'there is no image {args.queries[0]}')
    rerank = None
    if args.rerank:
        kind, *pairs = args.rerank
        rerank = dict(type=kind, **{n: number(v) for n, v in map(pair, pairs)})
    page = check_writable(args.html, '--html') if args.html else None
    from dva_mm.evaluation.rerank import check_rerank

    from .index import Index
    from .queries import check_nprobe

    check_rerank(rerank)
    options = dict(exclude_self=args.exclude_self, min_score=args.min_score, exact=args.exact)
    options |= dict(nprobe=args.nprobe, rerank=rerank)
    with redirect_stdout(sys.stderr):  # what loading a model says is no answer
        index = Index.open(args.index)
        where = read_where(index, args.where)
        check_nprobe(index.state['factory'], args.nprobe)
        if args.model:
            index.use(load_retriever(args))
        else:
            index.load_options = load_options(args)
        unreadable: list[tuple[int, str]] = []
        options['unreadable'] = unreadable
        answers = index.search(args.queries, args.k, where, **options)
        index.close()
    reasons = dict(unreadable)
    pairs = list(zip(args.queries, answers, strict=True))
    if args.json:
        shown = []
        for place, (query, hits) in enumerate(pairs):
            error = dict(error=reasons[place]) if place in reasons else {}
            shown.append(dict(query=query, hits=list(map(shown_hit, hits)), **error))
        print_json(shown)
    answered = [pair for place, pair in enumerate(pairs) if place not in reasons]
    for query, hits in () if args.json else answered:
        print_hits(query, hits)
    if page and answered:
        write_pages(page, answered)
    print_failures([(args.queries[place], reason) for place, reason in unreadable])
    return 1 if unreadable else 0
