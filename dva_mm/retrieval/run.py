"""The commands ``dva-mm index`` and ``dva-mm search``."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dva_mm.files import check_writable, replace_atomically

from .arguments import add_model, number, pair, positive, printable, values
from .items import IndexBusyError

if TYPE_CHECKING:
    from .queries import Hit
    from .retriever import Retriever

INDEX = """\
Index a folder of images; no labels are needed. The same command goes on where it was stopped, and
brings the index up to date later, when --sync does without --model."""
SEARCH = """\
Find the images of an index that are most like each query."""
_WrongArgument = argparse.ArgumentTypeError
OUT = 'folder of the index; or milvus:FILE.db, or http://HOST:19530 of a Milvus server'


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
    return _guarded(parser, _index, args)


def _index(args: argparse.Namespace) -> int:
    if not Path(args.folder).expanduser().is_dir():
        raise FileNotFoundError(f'there is no folder of images {args.folder}')
    from .index import Index

    options: dict[str, Any] = dict(batch_size=args.batch_size, workers=args.workers)
    options['distributed'] = _start_processes()
    if args.sync:
        index = Index.open(args.out)
        if args.model:
            index.use(_retriever(args))
        else:
            index.load_options = _load_options(args)
        index.sync(args.folder, **options)
    else:
        made_with = dict(factory=args.factory, flip=args.flip, labels=args.labels)
        index = Index.build(_retriever(args), args.folder, args.out, **made_with, **options)
    change = index.last_change
    if change is None:  # not the first process
        return 0
    print(f'{printable(index)}: {change}')
    if change.failures:
        print(f'{len(change.failures):,} cannot be read, and are left out:', file=sys.stderr)
        for name, reason in change.failures:
            print(f'  {printable(name)}: {printable(reason)}', file=sys.stderr)
    return 1 if change.failures else 0


def search_main(argv: Sequence[str] | None = None) -> int:
    """Search an index by pictures, and print the hits.

    Args:
        argv: The arguments; see ``dva-mm search -h``. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        SystemExit: 2 after a user's mistake, which is printed.
    """
    usage = 'dva-mm search INDEX QUERY [QUERY ...] [options]'  # lists of values come last
    parser = argparse.ArgumentParser('dva-mm search', usage, SEARCH)
    parser.add_argument('index', help=OUT)
    parser.add_argument('queries', nargs='+', help='image files')
    add_model(parser, 'another place of the model that the index was made with')
    parser.add_argument('-k', type=positive, default=10, help='hits a query; 10')
    parser.add_argument(
        '--where',
        nargs='+',
        type=pair,
        action='extend',
        metavar='NAME=VALUE',
        help='only images with this label, or value of the metadata; several of one NAME: any',
    )
    parser.add_argument('--min-score', type=float, help='leave out hits of a lower cosine')
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
    return _guarded(parser, _search, parser.parse_args(argv))


def _search(args: argparse.Namespace) -> int:
    if missing := [query for query in args.queries if not os.path.isfile(query)]:
        raise FileNotFoundError(f'there is no image {missing[0]}')
    where: dict[str, list] = {}
    for name, value in args.where or ():
        where.setdefault(name, []).extend(values(name, value))
    rerank = None
    if args.rerank:
        kind, *pairs = args.rerank
        rerank = dict(type=kind, **{n: number(v) for n, v in map(pair, pairs)})
    page = check_writable(args.html, '--html') if args.html else None
    from dva_mm.evaluation.rerank import check_rerank

    from .index import Index

    check_rerank(rerank)
    options = dict(exclude_self=args.exclude_self, min_score=args.min_score, exact=args.exact)
    options |= dict(nprobe=args.nprobe, rerank=rerank)
    with redirect_stdout(sys.stderr):  # what loading a model says is no answer
        index = Index.open(args.index)
        if args.model:
            index.use(_retriever(args))
        else:
            index.load_options = _load_options(args)
        answers = index.search(args.queries, args.k, where or None, **options)
        index.close()
    if args.json:
        shown = [
            dict(query=query, hits=[hit._asdict() for hit in hits])
            for query, hits in zip(args.queries, answers, strict=True)
        ]
        print(json.dumps(shown, indent=1))
    else:
        for query, hits in zip(args.queries, answers, strict=True):
            _print_hits(query, hits)
    if page:
        _write_page(page, args.queries, answers)
    return 0


def _print_hits(query: str, hits: list['Hit']) -> None:
    print(printable(query))
    for hit in hits:
        label = '' if hit.label is None else f'  [{printable(hit.label)}]'
        name = f'item {hit.id}' if hit.path is None else printable(hit.path)
        print(f'{hit.rank:4d}  {hit.score:.4f}  {name}{label}')


def _write_page(page: Path, queries: list[str], answers: list[list['Hit']]) -> None:
    try:
        from dva_mm.visualization.page import hits_page
    except ImportError as error:
        raise ValueError(f'--html needs dva_mm.visualization.page: {error}') from error
    for place, (query, hits) in enumerate(zip(queries, answers, strict=True), 1):
        file = page if len(queries) == 1 else page.with_stem(f'{page.stem}-{place}')
        with replace_atomically(file) as partial:
            partial.write_text(hits_page(query, hits), encoding='utf-8')
        print(f'page: {printable(file)}', file=sys.stderr)


def _load_options(args: argparse.Namespace) -> dict[str, Any]:
    device = args.device
    if device is None and 'LOCAL_RANK' in os.environ:
        import torch

        if torch.cuda.is_available():
            device = f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    return dict(device=device, precision=args.precision, compile=args.compile)


def _retriever(args: argparse.Namespace) -> 'Retriever':
    from .retriever import Retriever

    return Retriever.load(args.model, args.checkpoint, args.pretrained, **_load_options(args))


def _start_processes() -> bool:
    """Join the processes that torchrun started, if it did."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        return False
    import torch.distributed as dist

    from .change import PATIENCE

    if not dist.is_initialized():
        dist.init_process_group('gloo', timeout=PATIENCE)  # vectors go through files
    return True


def _guarded(parser: argparse.ArgumentParser, work: Any, args: argparse.Namespace) -> int:
    try:
        return work(args)
    except (ValueError, FileNotFoundError, ImportError, IndexBusyError, _WrongArgument) as error:
        parser.exit(2, f'error: {printable(error)}\n')
