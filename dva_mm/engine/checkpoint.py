"""Checkpoints that hold what trains, and know the pre-trained encoder they belong to."""

import pickle
from contextlib import suppress

import numpy as np
import torch.nn as nn
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

# Exceptions torch.load raises for truncated, corrupt and foreign files.
UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, LookupError, pickle.UnpicklingError)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside a distributed wrapper, or the model itself.

    >>> unwrap(nn.Identity())
    Identity()
    """
    return model.module if is_model_wrapper(model) else model


def _encoders(model: nn.Module) -> dict[str, nn.Module]:
    """Return the encoders that describe themselves, by their prefix in the state dict."""
    named = [(f'{name}.' if name else '', module) for name, module in model.named_modules()]
    return {prefix: module for prefix, module in named if hasattr(module, 'encoder_info')}


def frozen_names(model: nn.Module) -> set[str]:
    """Return the names of the state dict's tensors that belong to a frozen encoder.

    >>> frozen_names(nn.Linear(2, 2))
    set()
    """
    return {prefix + name for prefix, e in _encoders(model).items() for name in e.base_names()}


def encoder_info(model: nn.Module) -> dict[str, dict]:
    """Return ``encoder_info()`` of each encoder that has it, by its prefix in the state dict.

    >>> encoder_info(nn.Linear(2, 2))
    {}
    """
    return {prefix: encoder.encoder_info() for prefix, encoder in _encoders(model).items()}


def check_encoder(model: nn.Module, checkpoint: dict, source: str = 'the checkpoint') -> None:
    """Refuse a checkpoint of another encoder or another tuning than the model's.

    Raises:
        ValueError: With ``source``, each field of :func:`encoder_info` that differs from the
            checkpoint's ``meta['encoder']`` (as ``tuning.rank``), and both values.

    >>> check_encoder(nn.Linear(2, 2), dict(meta=dict(encoder={})))
    """
    present = encoder_info(model)
    trained = (checkpoint.get('meta') or {}).get('encoder')
    if trained is None and present:
        raise ValueError(
            f'{source} does not say which encoder it was trained with, so it was not saved by '
            'dva_mm; pre-trained weights of the encoder itself go into model.backbone.pretrained'
        )
    saved, own = _fields(trained or {}), _fields(present)
    differs = [
        f'{name}: trained with {saved.get(name)!r}, the model has {own.get(name)!r}'
        for name in [*own, *(name for name in saved if name not in own)]
        if saved.get(name) != own.get(name)
    ]
    if differs:
        raise ValueError(
            '\n  '.join([f'{source} does not belong to the encoder of the model:', *differs])
            + '\nSet model.backbone to what it was trained with: arch, img_size, pooling and '
            'pretrained for the encoder, tuning for what trains in it'
        )


def _fields(value: object, name: str = '') -> dict[str, object]:
    """Flatten nested dicts to ``outer.inner`` names; tuples become lists, as JSON makes them."""
    if not isinstance(value, dict):
        return {name: list(value) if isinstance(value, tuple) else value}
    prefix = name and f'{name.removesuffix(".")}.'
    return {k: v for key, item in value.items() for k, v in _fields(item, prefix + key).items()}


def check_tensors(saved: dict, wanted: dict, source: str) -> None:
    """Refuse tensors of a file that the model lacks, that it lacks, or that are damaged.

    Raises:
        ValueError: With ``source``, how many are missing, left over, of another shape or type (but
            for the width of floating-point numbers) or not finite, and the first one's fault.

    >>> import torch
    >>> check_tensors(dict(w=torch.ones(2).half()), dict(w=torch.zeros(2)), 'dva.pth')
    """
    faults = {name: _fault(saved.get(name), wanted.get(name)) for name in {**wanted, **saved}}
    if faults := sorted(item for item in faults.items() if item[1]):
        raise ValueError(
            f'{source} does not fit: {len(faults)} tensors differ or are damaged, first '
            f'{faults[0][0]}: {faults[0][1]}. Use the config it was trained with, and a whole file'
        )


def _fault(saved: Tensor | None, wanted: Tensor | None) -> str:
    shapes = [tuple(t.shape) if isinstance(t, Tensor) else 'absent' for t in (saved, wanted)]
    if shapes[0] != shapes[1]:
        return f'saved {shapes[0]}, model {shapes[1]}'
    if saved.dtype != wanted.dtype and not (saved.is_floating_point() * wanted.is_floating_point()):
        return f'saved {saved.dtype}, model {wanted.dtype}'
    bad = int((~saved.float().isfinite()).sum()) if saved.is_floating_point() else 0
    return f'{bad} of {saved.numel()} values are NaN or infinite' if bad else ''


@HOOKS.register_module()
class EncoderCheckHook(Hook):
    """Check each checkpoint that a Runner loads, and lend it the model's frozen tensors.

    It comes before EMAHook, which needs a complete state.

    >>> hook = EncoderCheckHook()
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check as :func:`check_encoder` and :func:`check_tensors` do, then add frozen tensors.

        What is missing or left over outside of the encoder, MMEngine tells.
        """
        model, source = unwrap(runner.model), runner.cfg.get('load_from') or 'the checkpoint'
        check_encoder(model, checkpoint, source)
        state, own = checkpoint.get('state_dict', {}), model.state_dict()
        frozen, inside = frozen_names(model), tuple(_encoders(model))
        names = {n for n in state.keys() & own if getattr(state[n], 'shape', 0) == own[n].shape}
        names |= {n for n in state.keys() | own if n.startswith(inside)}
        names -= frozen
        check_tensors(*({n: t for n, t in s.items() if n in names} for s in (state, own)), source)
        averaged = checkpoint.get('ema_state_dict', {})
        for name in frozen:
            state[name] = own[name]
            if averaged:
                averaged[f'module.{name}'] = own[name]
        averages = any(isinstance(hook, EMAHook) for hook in runner.hooks)
        if averaged and runner.cfg.get('resume') and not averages:
            runner.logger.warning(
                f'{source} was saved with EMAHook: without it in custom_hooks, training goes on '
                'from the averaged weights'
            )


@HOOKS.register_module()
class AdapterCheckpointHook(Hook):
    """Save what trains, without the frozen encoder.

    A checkpoint holds adapters, neck, proxies, optimiser, schedulers and progress, and loads with
    ``weights_only=True``. Models without a frozen encoder are saved whole. It comes after EMAHook,
    whose average it shortens too.

    >>> hook = AdapterCheckpointHook()
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop the frozen tensors, note the encoder, keep plain values of everything else.

        Raises:
            ValueError: If the adapters were merged; what trained is then in the frozen weights.
        """
        model = unwrap(runner.model)
        if any(getattr(encoder, 'merged', False) for encoder in _encoders(model).values()):
            raise ValueError(
                'The adapters are merged into the frozen weights, which no checkpoint holds; save '
                'before FrozenViT.merge()'
            )
        frozen = frozen_names(model)
        for part in checkpoint.keys() & {'state_dict', 'ema_state_dict'}:
            state = checkpoint[part].items()
            checkpoint[part] = {n: t for n, t in state if n.removeprefix('module.') not in frozen}
        checkpoint['meta']['encoder'] = encoder_info(model)
        hub = checkpoint['message_hub']
        runtime = _plain_items(hub['runtime_info'])
        # log_scalars only smooth the printed losses; their HistoryBuffer needs full unpickling.
        checkpoint['message_hub'] = dict(
            log_scalars={},
            runtime_info=runtime,
            resumed_keys={k: v for k, v in hub['resumed_keys'].items() if k in runtime},
        )
        schedulers = checkpoint.get('param_schedulers')
        if isinstance(schedulers, list):  # their functions come from the config
            checkpoint['param_schedulers'] = [_plain_items(state) for state in schedulers]


def _plain_items(values: dict) -> dict:
    """Keep what ``torch.load(weights_only=True)`` reads; numpy numbers become Python's."""
    kept = {}
    for name, value in values.items():
        with suppress(TypeError):
            kept[name] = _plain(value)
    return kept


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_plain(item) for item in value)
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, str | int | float | Tensor):
        return value
    raise TypeError(type(value))
