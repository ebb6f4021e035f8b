"""Publish the weights that retrieval needs, and load them beside the frozen encoder."""

import json
from pathlib import Path

import torch
import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dva_mm.arguments import make_parser
from dva_mm.files import check_writable, replace_atomically

from .checkpoint import UNREADABLE, check_encoder, check_tensors, frozen_names, unwrap


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_from_safetensors(filename: str, map_location: str | None = None) -> dict:
    """Read a published ``.safetensors`` file as an MMEngine checkpoint: state_dict and meta.

    Raises:
        FileNotFoundError, ValueError: If the file does not exist, or cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), 'dva.safetensors')
    >>> save_file(dict(weight=torch.ones(2)), path)
    >>> load_from_safetensors(str(path))
    {'state_dict': {'weight': tensor([1., 1.])}, 'meta': {}}
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(f'the checkpoint {Path(filename).absolute()} does not exist')
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        with safe_open(filename, framework='pt', device=device) as file:
            meta = json.loads((file.metadata() or {}).get('dva_mm', '{}'))
            state = {name: file.get_tensor(name) for name in list(file.keys())}
    except SafetensorError as error:
        raise ValueError(f'{filename} cannot be read as .safetensors: {error}') from error
    return dict(state_dict=state, meta=meta)


def _read(filename: str) -> dict:
    """Read a checkpoint that has a ``state_dict``; errors name the file."""
    try:
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise ValueError(f'{filename} cannot be read as a checkpoint: {error}') from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        raise ValueError(f'{filename} is no checkpoint: it has no state_dict')
    return checkpoint


def load_adapter(model: nn.Module, filename: str) -> None:
    """Load what serves retrieval (adapters, neck; no proxies), all of it or nothing.

    Of a run with EMAHook, the averaged weights are loaded.

    Args:
        model: A DVARetriever, also under a distributed wrapper.
        filename: A ``.pth`` of a run, or a published ``.pth`` / ``.safetensors``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it belongs to another encoder, tuning or neck, or is damaged.

    >>> import tempfile
    >>> model, path = nn.Linear(2, 2), Path(tempfile.mkdtemp(), 'dva.pth')
    >>> torch.save(dict(state_dict=model.state_dict(), meta=dict(encoder={})), path)
    >>> load_adapter(model, str(path))
    """
    model = unwrap(model)
    checkpoint = _read(filename)
    check_encoder(model, checkpoint, filename)
    state = _without_head(checkpoint['state_dict'])
    frozen = frozen_names(model)
    wanted = _without_head({n: t for n, t in model.state_dict().items() if n not in frozen})
    check_tensors(state, wanted, filename)
    model.load_state_dict(state, strict=False)


def _without_head(state: dict) -> dict:
    return {name: value for name, value in state.items() if not name.startswith('head.')}


def publish(filename: str, out: str, with_head: bool = False, backbone: bool = False) -> Path:
    """Write what :func:`load_adapter` reads of a run's checkpoint, and return the file's path.

    Args:
        filename: A run's checkpoint.
        out: File to write, ``.pth`` or ``.safetensors``; it appears whole or not at all.
        with_head: Keep the head (class proxies) too. Defaults to False.
        backbone: Write the backbone alone, under its own names, for ``model.backbone.pretrained``;
            for runs of mmpretrain that train a whole encoder. Defaults to False.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If ``out`` has another suffix or cannot be written, the checkpoint is damaged or
            not of dva_mm, or with ``backbone``, it has no whole backbone.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), 'epoch_1.pth')
    >>> torch.save(dict(state_dict=dict(w=torch.ones(2)), meta=dict(encoder={})), path)
    >>> publish(str(path), str(path.with_name('dva.safetensors'))).name
    'dva.safetensors'
    """
    if Path(out).suffix not in ('.pth', '.safetensors'):
        raise ValueError(f'publish writes .pth or .safetensors, got {out!r}')
    path = check_writable(out, 'out')
    checkpoint = _read(filename)
    encoder = (checkpoint.get('meta') or {}).get('encoder')
    if backbone:
        inside = [name for name in checkpoint['state_dict'] if name.startswith('backbone.')]
        if encoder or not inside:
            raise ValueError(
                f'{filename} holds no whole backbone (of a frozen encoder, a checkpoint holds the '
                'adapters alone); publish it without --backbone'
            )
        state = {n.removeprefix('backbone.'): checkpoint['state_dict'][n] for n in inside}
        meta = {}
    elif encoder is None:
        raise ValueError(f'{filename} was not saved by dva_mm: it names no encoder')
    else:
        state = checkpoint['state_dict'] if with_head else _without_head(checkpoint['state_dict'])
        state = {n: t for n, t in state.items() if not n.startswith('head.dpt.')}  # a teacher's
        meta = dict(encoder=encoder, cfg=checkpoint['meta'].get('cfg', ''))
    check_tensors(state, state, filename)
    # Separate copies: safetensors refuses tensors that share memory.
    state = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    with replace_atomically(path) as partial:
        if path.suffix == '.pth':
            torch.save(dict(state_dict=state, meta=meta), partial)
        else:
            save_file(state, partial, metadata=dict(dva_mm=json.dumps(meta)))
    return path


def main(argv: list[str] | None = None) -> None:
    """Write a run's weights alone: ``dva-mm publish CHECKPOINT OUT.safetensors``."""
    args = make_parser('publish').parse_args(argv)
    path = publish(args.checkpoint, args.out, args.with_head, args.backbone)
    print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')
