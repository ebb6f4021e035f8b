"""Arguments of the commands, and what they all do: the model, the conditions, mistakes."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from .items import IndexBusyError

if TYPE_CHECKING:
    from .index import Index
    from .retriever import Retriever

OUT = 'folder of the index; or milvus:FILE.db, or http://HOST:19530 of a Milvus server'
MISTAKES = (ValueError, FileNotFoundError, ImportError, IndexBusyError, argparse.ArgumentTypeError)


def add_model(parser: argparse.ArgumentParser, what: str = 'the model') -> None:
    parser.add_argument(
        '--model',
        help=f'{what}: a published or exported file, hf://USER/NAME or a config',
    )
    parser.add_argument('--checkpoint', help="of a config's run; without one, the frozen encoder")
    parser.add_argument('--pretrained', help="file of the frozen encoder's weights")
    parser.add_argument('--device', help='cpu, cuda or cuda:I; the GPU where there is one')
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--compile', action='store_true', help='compile the encoder')


def printable(text: Any) -> str:
    """Text in one line that any terminal takes: line breaks and bytes of no text are escaped.

    >>> printable('two\\nlines')
    'two\\\\nlines'
    """
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    escaped = ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
    return escaped.encode(encoding, 'backslashreplace').decode(encoding)


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    if not name or not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is no NAME=VALUE')
    return name, value


def values(name: str, text: str) -> list[Any]:
    """A value as it is, and of metadata as JSON reads it too."""
    if name in ('label', 'path'):
        return [text]
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return [text, value] if isinstance(value, int | float | bool) else [text]


def number(text: str) -> float | str:
    try:
        return int(text) if text.lstrip('-').isdigit() else float(text)
    except ValueError:
        return text


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number from 1, got {text!r}')
    return int(text)


def add_where(parser: argparse._ActionsContainer, text: str) -> None:
    parser.add_argument(
        '--where', nargs='+', type=pair, action='extend', metavar='NAME=VALUE', help=text
    )


def read_where(index: 'Index', pairs: list[tuple[str, str]] | None) -> dict[str, list] | None:
    """What ``--where`` asks for.

    Raises:
        ValueError: If no item has a key, or one of the values.
    """
    from .where import check_where

    where: dict[str, list] = {}
    for name, text in pairs or ():
        check_where(index.storage, {name: values(name, text)}, strict=True)
        where.setdefault(name, []).extend(values(name, text))
    return where or None


def load_options(args: argparse.Namespace) -> dict[str, Any]:
    device = args.device
    if device is None and 'LOCAL_RANK' in os.environ:
        import torch

        if torch.cuda.is_available():
            device = f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    return dict(device=device, precision=args.precision, compile=args.compile)


def load_retriever(args: argparse.Namespace) -> 'Retriever':
    from .retriever import Retriever

    return Retriever.load(args.model, args.checkpoint, args.pretrained, **load_options(args))


def guarded(parser: argparse.ArgumentParser, work: Any, args: argparse.Namespace) -> int:
    """Run a command; a user's mistake is one line, and status 2."""
    try:
        return work(args)
    except MISTAKES as error:
        parser.exit(2, f'error: {printable(error)}\n')
