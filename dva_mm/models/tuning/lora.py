"""LoRA by Hugging Face's peft."""

from collections.abc import Sequence

import torch.nn as nn
from mmpretrain.registry import MODELS

from ..plain_vit import PlainViT
from .base import Tuning, check_options

_NAME = 'default'  # peft's name for A and B within a layer


@MODELS.register_module()
class LoRA(Tuning):
    """LoRA: ``W x + (alpha / rank) B A x``, with B zero at the start.

    Paper: https://arxiv.org/abs/2106.09685, which adapts the separate projections of Q and V; on a
    fused qkv one A serves Q, K and V.

    >>> LoRA(rank=4, target_modules=['qkv', 'attn.proj']).target_modules
    ['qkv', 'attn.proj']

    Args:
        rank: Width between A and B. Defaults to 8.
        alpha: Numerator of the scale. Defaults to 16.
        dropout: Of A's input. Defaults to 0.
        target_modules: Layers to adapt, by the ends of their names in the ViT, such as 'qkv' or
            'attn.proj'. Defaults to ('qkv',).

    Raises:
        ImportError: if peft is not installed.
        ValueError: if a name fits no layer of the ViT, or another option is out of its range.
    """

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 16,
        dropout: float = 0.0,
        target_modules: Sequence[str] = ('qkv',),
    ) -> None:
        check_options('LoRA', dropout, rank=rank)
        self.target_modules = target_modules
        self.options = dict(r=rank, lora_alpha=alpha, lora_dropout=dropout)

    def apply(self, vit: PlainViT) -> list[nn.Module]:
        """Wrap the layers; peft calls the frozen one ``base_layer``."""
        targets, layers = self.target_modules, _layers(vit.model)
        fits = [any(f'.{name}'.endswith(f'.{target}') for name in layers) for target in targets]
        if isinstance(targets, str) or not fits or not all(fits):
            raise ValueError(
                f'LoRA target_modules must be a list of layers of {vit.name}, got {targets!r}; the '
                f'layers of a block are {_layers(vit.blocks[0])}'
            )
        try:
            from peft import LoraConfig, inject_adapter_in_model
            from peft.tuners.lora import LoraLayer
        except ImportError as error:
            raise ImportError(
                f'tuning type=\'LoRA\' needs peft: pip install "dva_mm[baselines]" ({error})'
            ) from error
        config = LoraConfig(target_modules=list(targets), **self.options)
        inject_adapter_in_model(config, vit.model, adapter_name=_NAME)
        return [module for module in vit.model.modules() if isinstance(module, LoraLayer)]

    def reset(self, module: nn.Module) -> None:
        """A random, B zero."""
        module.reset_lora_parameters(_NAME, True)

    def scale_by(self, module: nn.Module, share: float) -> None:
        """Multiply alpha / rank."""
        module.scale_layer(share)


def _layers(module: nn.Module) -> list[str]:
    return [n for n, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
