"""What every way of tuning a pre-trained ViT declares."""

import inspect
from collections.abc import Mapping

import torch.nn as nn
from mmpretrain.registry import MODELS

from ..plain_vit import PlainViT


class Tuning:
    """A way to train a pre-trained ViT, in whole or in part; by itself it trains nothing.

    A subclass registered in mmpretrain's MODELS is chosen by its name, as ``FrozenViT(
    tuning=dict(type=...))``. The arguments of its constructor are the options; checkpoints hold
    all of them and load only beside the same ones.

    >>> class NormBias(Tuning):
    ...     '''The biases of the norms before the MLPs of timm's ViTs.'''
    ...     def trains(self, name, added):
    ...         return name.endswith('norm2.bias')
    >>> MODELS.register_module(module=NormBias, force=True).__name__
    'NormBias'
    >>> from dva_mm.models import FrozenViT
    >>> encoder = FrozenViT('test_vit', pretrained=False, tuning=dict(type='NormBias'))
    >>> sum(p.requires_grad for p in encoder.parameters())
    6
    """

    #: tokens that :meth:`apply` puts between the prefix tokens and the patch tokens
    num_prompts: int = 0

    def apply(self, vit: PlainViT) -> list[nn.Module]:
        """Add to the ViT what shall train beside it; ValueError if an option does not fit the ViT.

        Returns:
            The modules that follow ``train()`` and that :meth:`reset` takes; the rest of the ViT
            stays in eval mode.
        """
        return []

    def trains(self, name: str, added: bool) -> bool:
        """Whether a parameter trains, by its name after :meth:`apply` and whether that added it."""
        return added

    def reset(self, module: nn.Module) -> None:
        """Draw a module that :meth:`apply` returned anew, as at the start."""
        module.reset()

    def scale_by(self, module: nn.Module, share: float) -> None:
        """Multiply what a module that :meth:`apply` returned adds, or raise ValueError."""
        raise ValueError(
            f'what tuning type={type(self).__name__!r} adds cannot be scaled; that of ICA, LoRA '
            'and AdaptFormer can, and so can the weights of Full and BitFit'
        )

    def merge(self, vit: PlainViT) -> None:
        """Fold what trained into the weights of the ViT, or raise ValueError; ICA can."""
        raise ValueError(
            f'merge() folds the adapters of ICA into the frozen weights; tuning type='
            f'{type(self).__name__!r} has none'
        )


def build_tuning(config: Mapping) -> tuple[Tuning, dict]:
    """Build the way of tuning that a config names.

    >>> build_tuning(dict(type='LoRA', rank=4))[1]
    {'type': 'LoRA', 'rank': 4, 'alpha': 16, 'dropout': 0.0, 'target_modules': ['qkv']}

    Returns:
        It, and its type with all its options as plain values that a checkpoint can hold.

    Raises:
        ValueError: if the type or an option is unknown, or a value out of its range.
    """
    options = dict(config) if isinstance(config, Mapping) else {}
    name = options.pop('type', None)
    cls = MODELS.get(name) if isinstance(name, str) else name
    if not _is_tuning(cls):
        known = [key for key, value in MODELS.module_dict.items() if _is_tuning(value)]
        raise ValueError(
            f'FrozenViT tuning must be None or a dict whose type is one of {known}, got {config!r}'
        )
    signature = inspect.signature(cls)
    if unknown := [option for option in options if option not in signature.parameters]:
        raise ValueError(
            f'tuning type={name!r} has no option {unknown}; its options are '
            f'{list(signature.parameters)}. Where a base config names another type, add '
            '_delete_=True'
        )
    bound = signature.bind(**options)
    bound.apply_defaults()
    tuning = cls(**options)
    # An attribute of the option's name holds its value in the one form that counts.
    values = {key: getattr(tuning, key, value) for key, value in bound.arguments.items()}
    return tuning, dict(type=cls.__name__, **{key: _plain(v) for key, v in values.items()})


def _is_tuning(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Tuning)


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, list | tuple | range) else value


def check_options(name: str, dropout: float = 0.0, **sizes: int) -> None:
    """Raise a ValueError for a size that is no positive integer, or a dropout outside [0, 1)."""
    for option, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} {option} must be a positive integer, got {value!r}')
    if not 0 <= dropout < 1:
        raise ValueError(f'{name} dropout must be at least 0 and below 1, got {dropout!r}')
