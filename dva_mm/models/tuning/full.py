"""Full fine-tuning and BitFit: parameters of the ViT itself train."""

import torch.nn as nn
from mmpretrain.registry import MODELS

from ..plain_vit import PlainViT
from .base import Tuning


@MODELS.register_module()
class Full(Tuning):
    """Full fine-tuning: every parameter trains, and the ViT's dropout and drop-path are on.

    >>> Full().trains('blocks.0.attn.qkv.weight', added=False)
    True
    """

    def apply(self, vit: PlainViT) -> list[nn.Module]:
        """Add nothing; the whole ViT follows ``train()``."""
        return [vit.model]

    def trains(self, name: str, added: bool) -> bool:
        """All."""
        return True

    def reset(self, module: nn.Module) -> None:
        """Nothing: it starts from the pre-trained weights, which FrozenViT restores."""

    def scale_by(self, module: nn.Module, share: float) -> None:
        """Nothing: it adds nothing, and FrozenViT interpolates the weights."""


@MODELS.register_module()
class BitFit(Tuning):
    """BitFit: all bias vectors train, those of the norms and the patch embedding among them.

    Paper: https://arxiv.org/abs/2106.10199. The ViT's dropout and drop-path stay off.

    >>> [BitFit().trains(f'blocks.0.norm1.{name}', added=False) for name in ('weight', 'bias')]
    [False, True]
    """

    def trains(self, name: str, added: bool) -> bool:
        """The biases."""
        return name.split('.')[-1] == 'bias'
