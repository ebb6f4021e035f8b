"""What serves retrieval: published weights, and loading them beside the frozen encoder."""

import argparse
import json
from pathlib import Path

import torch
import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import safe_open
from safetensors.torch import save_file

from .checkpoint import check_encoder, difference, frozen_names, unwrap


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_safetensors(filename: str, map_location: str | None = None) -> dict:
    """Read a published ``.safetensors`` file as an MMEngine checkpoint.

    Raises:
        FileNotFoundError: if the file does not exist.
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(f'the checkpoint {Path(filename).absolute()} does not exist')
    device = map_location if isinstance(map_location, str) else 'cpu'
    with safe_open(filename, framework='pt', device=device) as file:
        meta = json.loads((file.metadata() or {}).get('dva_mm', '{}'))
        names = list(file.keys())
        return dict(state_dict={name: file.get_tensor(name) for name in names}, meta=meta)


def load_adapter(model: nn.Module, filename: str) -> None:
    """Load what serves retrieval (adapters, neck) from a checkpoint or a published file.

    The head is left alone: proxies belong to the training classes and take no part in testing.

    Args:
        model: A DVARetriever, also under a distributed wrapper.
        filename: A ``.pth`` of a run, or a published ``.pth`` / ``.safetensors``.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it was trained on another encoder, with other adapters or another neck.
    """
    model = unwrap(model)
    checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    if not isinstance(checkpoint.get('state_dict'), dict):
        raise ValueError(f'{filename} is no checkpoint: it has no state_dict')
    check_encoder(model, checkpoint, filename)
    state = _without_head(checkpoint['state_dict'])
    frozen = frozen_names(model)
    wanted = _without_head({n: t for n, t in model.state_dict().items() if n not in frozen})
    if found := difference(state, wanted):
        raise ValueError(
            f'{filename} does not fit the model: {found}; use the config it was trained with'
        )
    model.load_state_dict(state, strict=False)


def _without_head(state: dict) -> dict:
    return {name: value for name, value in state.items() if not name.startswith('head.')}


def publish(filename: str, out: str, with_head: bool = False, backbone: bool = False) -> Path:
    """Write the weights of a run's checkpoint alone: adapters and neck, for retrieval.

    Args:
        filename: A run's checkpoint.
        out: File to write, ``.pth`` or ``.safetensors``.
        with_head: Keep the head (class proxies) too. Defaults to False.
        backbone: Write the backbone alone, under its own names, as a file for
            ``model.backbone.pretrained``; for runs of mmpretrain that train a whole encoder, such
            as the demo's pre-training. Defaults to False.

    Returns:
        The path written.

    Raises:
        ValueError: if ``out`` has another suffix, the checkpoint is not of dva_mm, or with
            ``backbone``, it has no whole backbone.
    """
    path = Path(out)
    if path.suffix not in ('.pth', '.safetensors'):
        raise ValueError(f'publish writes .pth or .safetensors, got {out!r}')
    checkpoint = CheckpointLoader.load_checkpoint(filename, map_location='cpu')
    encoder = checkpoint.get('meta', {}).get('encoder')
    if backbone:
        state = _backbone_alone(checkpoint['state_dict'], filename, encoder)
        meta = {}
    elif encoder is None:
        raise ValueError(f'{filename} was not saved by dva_mm: it names no encoder')
    else:
        state = checkpoint['state_dict'] if with_head else _without_head(checkpoint['state_dict'])
        meta = dict(encoder=encoder, cfg=checkpoint['meta'].get('cfg', ''))
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.pth':
        torch.save(dict(state_dict=state, meta=meta), path)
    else:
        save_file(state, path, metadata=dict(dva_mm=json.dumps(meta)))
    return path


def _backbone_alone(state: dict, filename: str, encoder: dict | None) -> dict:
    prefix = 'backbone.'
    found = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    if encoder or not found:
        raise ValueError(
            f'{filename} holds no whole backbone (of a frozen encoder, a checkpoint holds the '
            'adapters alone); publish it without --backbone'
        )
    return found


def main(argv: list[str] | None = None) -> None:
    """Write a run's weights alone: ``dva-mm publish CHECKPOINT OUT.safetensors``."""
    parser = argparse.ArgumentParser(prog='dva-mm publish', description=main.__doc__)
    parser.add_argument('checkpoint', help="a run's checkpoint")
    parser.add_argument('out', help='file to write: .pth or .safetensors')
    parser.add_argument('--with-head', action='store_true', help='keep the class proxies too')
    parser.add_argument(
        '--backbone',
        action='store_true',
        help='write the backbone alone, for model.backbone.pretrained (runs that train all of it)',
    )
    args = parser.parse_args(argv)
    path = publish(args.checkpoint, args.out, args.with_head, args.backbone)
    print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')
