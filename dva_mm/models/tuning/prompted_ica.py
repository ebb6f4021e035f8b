"""ICA beside prompts: adapters in the projections and learnable tokens in the sequence."""

from collections.abc import Sequence

import torch.nn as nn
from mmpretrain.registry import MODELS

from ..plain_vit import PlainViT
from .ica import ICA
from .vpt import VPTDeep


@MODELS.register_module()
class PromptedICA(ICA):
    """:class:`ICA` and the prompts of :class:`VPTDeep`, which train together.

    The pair is a choice of this project. Untrained prompts alone, drawn at random, change what a
    frozen ViT finds: attention may fall on tokens that show nothing, as on registers
    (https://arxiv.org/abs/2309.16588). So it does not start as the frozen encoder.

    >>> tuning = PromptedICA(num_tokens=4, rank=8)
    >>> tuning.num_prompts
    4

    Args:
        num_tokens: Number of prompts in each block. Defaults to 10.
        rank: Of the bottlenecks, as of :class:`ICA`. Defaults to 16.
        act: Of the bottlenecks, as of :class:`ICA`. Defaults to 'GELU'.
        scale: Of the bottlenecks, as of :class:`ICA`. Defaults to 1.0.
        layers: Blocks with bottlenecks, as of :class:`ICA`. Defaults to None, all.
        targets: What gets bottlenecks, as of :class:`ICA`. Defaults to ``('q', 'k')``.

    Raises:
        ValueError: As of :class:`ICA` and :class:`VPTDeep`.
    """

    def __init__(
        self,
        num_tokens: int = 10,
        rank: int = 16,
        act: str | None = 'GELU',
        scale: float = 1.0,
        layers: Sequence[int] | None = None,
        targets: Sequence[str] = ('q', 'k'),
    ) -> None:
        super().__init__(rank, act, scale, layers, targets)
        self.prompts = VPTDeep(num_tokens)
        self.num_prompts = num_tokens

    def apply(self, vit: PlainViT) -> list[nn.Module]:
        """Put prompts in front of each block, and adapters into those of ``layers``."""
        return [*super().apply(vit), *self.prompts.apply(vit)]

    def scale_by(self, module: nn.Module, share: float) -> None:
        """Raise a ValueError: prompts cannot be scaled."""
        self.prompts.scale_by(module, share)
