"""Checkpoints that hold what trains, and know the pre-trained encoder they belong to."""

import pickle
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from dva_mm.models import FrozenViT

# What ends the reading of a truncated or foreign file, by torch.load.
_UNREADABLE = (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError)


def _encoders(model: nn.Module) -> dict[str, FrozenViT]:
    """The frozen encoders of a model by their prefix in its state dict."""
    named = model.named_modules()
    return {f'{name}.' if name else '': m for name, m in named if isinstance(m, FrozenViT)}


def frozen_names(model: nn.Module) -> set[str]:
    """Names of the state dict's tensors that belong to a frozen encoder."""
    return {
        prefix + name
        for prefix, encoder in _encoders(model).items()
        for name in encoder.base_names()
    }


def encoder_info(model: nn.Module) -> dict[str, dict]:
    """``FrozenViT.encoder_info`` of each frozen encoder, by its prefix."""
    return {prefix: encoder.encoder_info() for prefix, encoder in _encoders(model).items()}


def check_encoder(model: nn.Module, checkpoint: dict, source: str = 'the checkpoint') -> None:
    """Refuse a checkpoint of another frozen encoder, another tuning or other adapters.

    Args:
        model: The model to load into.
        checkpoint: With ``state_dict`` and ``meta``.
        source: What to call the checkpoint in the error.

    Raises:
        ValueError: naming each field that differs.
    """
    present = encoder_info(model)
    if not present:
        return
    trained_on = checkpoint.get('meta', {}).get('encoder')
    if trained_on is None:
        raise ValueError(
            f'{source} does not say which frozen encoder it was trained on, so it was not saved '
            'by dva_mm; pre-trained weights of the encoder itself go into model.backbone.pretrained'
        )
    for prefix, info in present.items():
        saved = trained_on.get(prefix, {})
        differs = {
            field: f'{field}: trained on {saved.get(field)!r}, present {value!r}'
            for field, value in info.items()
            if saved.get(field) != value  # absent stands for None
        }
        if list(differs) == ['tuning']:
            raise ValueError(
                f'{source} was trained with another tuning of the encoder than the one present:\n  '
                f'{differs["tuning"]}\nSet model.backbone.tuning to what it was trained with'
            )
        if differs:
            raise ValueError(
                f'{source} was trained on another frozen encoder than the one present:\n  '
                + '\n  '.join(differs.values())
                + '\nBuild the model with the encoder (model.backbone: arch, img_size, pooling, '
                'pretrained) it was trained on'
            )
    frozen = frozen_names(model)
    wanted, saved = (
        {n: t for n, t in state.items() if n.startswith(tuple(present)) and n not in frozen}
        for state in (model.state_dict(), checkpoint['state_dict'])
    )
    if found := difference(saved, wanted):
        raise ValueError(
            f'{source} holds other adapters than the model: {found}. Set model.backbone.tuning to '
            'what it was trained with'
        )


def difference(saved: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """In how many names and shapes two states differ, and the first; empty when in none."""

    def shape(state: dict[str, Tensor], name: str) -> tuple[int, ...] | str:
        return tuple(state[name].shape) if name in state else 'absent'

    names = sorted(saved.keys() | wanted.keys())
    odd = [name for name in names if shape(saved, name) != shape(wanted, name)]
    if not odd:
        return ''
    return (
        f'{len(odd)} tensors differ, first {odd[0]}: saved {shape(saved, odd[0])}, '
        f'model {shape(wanted, odd[0])}'
    )


@HOOKS.register_module()
class AdapterCheckpointHook(Hook):
    """Save what trains, without the frozen encoder; refuse to load beside another encoder.

    A checkpoint holds the trainable part of the model (adapters, neck, proxies), optimiser,
    schedulers and progress, and loads with ``torch.load``'s ``weights_only=True``.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop the frozen tensors, note the encoder, keep plain values of the message hub.

        Raises:
            ValueError: if the adapters were merged; what trained is then in the frozen weights.
        """
        model = unwrap(runner.model)
        if any(encoder.merged for encoder in _encoders(model).values()):
            raise ValueError(
                'The adapters are merged into the frozen weights, which no checkpoint holds; save '
                'before FrozenViT.merge()'
            )
        frozen = frozen_names(model)
        checkpoint['state_dict'] = {
            name: tensor for name, tensor in checkpoint['state_dict'].items() if name not in frozen
        }
        checkpoint['meta']['encoder'] = encoder_info(model)
        hub = checkpoint['message_hub']
        values = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in hub['runtime_info'].items()
        }
        plain = {name: value for name, value in values.items() if _is_plain(value)}
        # log_scalars only smooth the printed losses; their HistoryBuffer needs full unpickling.
        checkpoint['message_hub'] = dict(
            log_scalars={},
            runtime_info=plain,
            resumed_keys={k: v for k, v in hub['resumed_keys'].items() if k in plain},
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the encoder, then lend the checkpoint the frozen tensors of the model."""
        model = unwrap(runner.model)
        check_encoder(model, checkpoint)
        own = model.state_dict()
        for name in frozen_names(model):
            checkpoint['state_dict'][name] = own[name]


def _is_plain(value: object) -> bool:
    if isinstance(value, list):  # such as the numbers of the checkpoints to keep
        return all(isinstance(item, str | int | float) for item in value)
    return isinstance(value, str | int | float | Tensor)


def unwrap(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def find_resumable(work_dir: str) -> str | None:
    """The newest checkpoint of a run that can be read in full, or None.

    A process killed while it wrote leaves a torn file; the one before it is then the newest.
    """
    saved = [path for path in Path(work_dir).glob('*.pth') if path.stem.split('_')[-1].isdigit()]
    for path in sorted(saved, key=lambda p: int(p.stem.split('_')[-1]), reverse=True):
        try:
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
        except _UNREADABLE as error:
            print_log(f'skipping {path}, which cannot be read: {error}', logger='current')
            continue
        if isinstance(checkpoint, dict) and 'optimizer' in checkpoint:
            return str(path)
    return None
