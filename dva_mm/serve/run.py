"""The command ``dva-mm serve``."""

import argparse
import importlib.util
import ipaddress
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from dva_mm.retrieval.arguments import add_model, positive, printable

from .limits import Limits

SERVE = """\
Serve a page that searches an index by pictures, and the same as an HTTP API. There is no password:
whoever reaches the page sees all pictures of the index."""
DEFAULT = Limits()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve an index until Ctrl-C.

    Args:
        argv: The arguments; see ``dva-mm serve -h``. Defaults to None: the command line's.

    Returns:
        Exit status, 0.

    Raises:
        ValueError: If an argument is wrong, the port is taken, or the index is empty.
        FileNotFoundError: If there is no index.
        ImportError: If Gradio is not installed.
    """
    args = _parser().parse_args(argv)
    if args.rate < 0:
        raise ValueError(f'--rate must be 0 or more, got {args.rate}')
    if not 0 <= args.port < 2**16:
        raise ValueError(f'--port must be 0 to 65535, got {args.port}')
    if importlib.util.find_spec('gradio') is None:
        raise ImportError('the web page needs Gradio: pip install "dva_mm[demo]"')
    listener = listen(args.host, args.port)
    from dva_mm.retrieval import Index, Retriever

    load = dict(device=args.device, precision=args.precision, compile=args.compile)
    with redirect_stdout(sys.stderr):  # what loading a model says
        index = Index.open(args.index)
        if args.model:
            index.use(Retriever.load(args.model, args.checkpoint, args.pretrained, **load))
        else:
            index.load_options = load
        if not len(index):
            raise ValueError(f'{args.index} holds no images: there is nothing to search')
        index.retriever  # noqa: B018  a missing model is a mistake before the page is up
    import uvicorn

    from .app import make_app, private_uploads
    from .catalogue import Catalogue

    megapixels, megabytes = round(1e6 * args.max_pixels), round(1e6 * args.max_upload)
    limits = Limits(megabytes, megapixels, args.rate, args.queue, args.hits, args.uploads)
    title = Path(args.index).name or str(args.index)
    hosts = names_of(args.host)
    if hosts is None:
        print('whoever reaches this machine sees all pictures of the index', file=sys.stderr)
    with private_uploads() as uploads:
        app = make_app(Catalogue(index), uploads, limits, title, hosts)
        host, port = listener.getsockname()[:2]
        host = f'[{host}]' if ':' in host else host
        print(f'{printable(index)}\npage: http://{host}:{port}  (Ctrl-C ends it)', flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the uploads are removed then too
        config = uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port that is taken is told before a model is loaded.

    Raises:
        ValueError: If there is no such address, or the port is taken.

    >>> with listen('127.0.0.1', 0) as found:
    ...     found.getsockname()[0]
    '127.0.0.1'
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f'--host {host} --port {port} cannot be served: {reason}; --port 0 takes a free one'
        ) from error


def names_of(host: str) -> set[str] | None:
    """Names by which a page of this machine alone is asked for; None of one for others.

    Any web site can point its own name to 127.0.0.1, and so would read the pictures.

    >>> sorted(names_of('127.0.0.1'))
    ['127.0.0.1', '::1', 'localhost']
    >>> names_of('0.0.0.0') is None
    True
    """
    local = {'localhost', '127.0.0.1', '::1'}
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == 'localhost'
    return local | {host} if loopback else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('dva-mm serve', description=SERVE)
    parser.add_argument('index', help='folder of the index, or its place in Milvus')
    add_model(parser, 'another place of the model that the index was made with')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to serve; 127.0.0.1: this machine alone'
    )
    parser.add_argument('--port', type=int, default=7860, help='0: a free one; 7860')
    megabytes, megapixels = DEFAULT.upload_bytes / 1e6, DEFAULT.pixels / 1e6
    parser.add_argument(
        '--max-upload', type=_above_0, default=megabytes, metavar='MB', help=f'{megabytes:g}'
    )
    parser.add_argument(
        '--max-pixels',
        type=_above_0,
        default=megapixels,
        metavar='MEGAPIXELS',
        help=f'of an uploaded picture; {megapixels:g}',
    )
    parser.add_argument(
        '--rate',
        type=int,
        default=DEFAULT.rate,
        help=f'uploads and questions of one address a minute, 0: any number; {DEFAULT.rate}',
    )
    for name, text in (
        ('queue', 'waiting questions; more are refused'),
        ('hits', 'most hits of a question'),
        ('uploads', 'uploaded pictures that are kept'),
    ):
        value = getattr(DEFAULT, 'waiting' if name == 'queue' else name)
        parser.add_argument(f'--{name}', type=positive, default=value, help=f'{text}; {value}')
    return parser


def _above_0(text: str) -> float:
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'must be above 0, got {text!r}')
    return value
