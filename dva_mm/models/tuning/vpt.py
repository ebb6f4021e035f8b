"""VPT, Visual Prompt Tuning: learnable tokens in the sequence.

Paper: https://arxiv.org/abs/2203.12119.
"""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor

from ..plain_vit import PlainViT
from .base import Tuning, check_options


class Prompts(nn.Module):
    """VPT's learnable tokens, after the prefix tokens (class, registers) of a sequence.

    They are drawn uniformly from ``±sqrt(6 / (3P² + C))``, for patches of side P and tokens
    of width C. They lengthen a sequence (B, N, C) to (B, N + T, C); with ``replace`` they take the
    place of the T prompts that it has already.
    """

    def __init__(self, vit: PlainViT, num_tokens: int, dropout: float, replace: bool) -> None:
        super().__init__()
        self.bound = math.sqrt(6 / (3 * vit.patch_size**2 + vit.embed_dims))
        self.num_prefix_tokens = vit.num_prefix_tokens
        self.num_replaced = num_tokens if replace else 0
        self.tokens = nn.Parameter(torch.empty(num_tokens, vit.embed_dims))
        self.dropout = nn.Dropout(dropout)
        self.reset()

    def reset(self) -> None:
        """Draw the tokens anew."""
        nn.init.uniform_(self.tokens, -self.bound, self.bound)

    def forward(self, x: Tensor) -> Tensor:
        prompts = self.dropout(self.tokens.expand(x.shape[0], -1, -1))  # (B, T, C)
        prefix = x[:, : self.num_prefix_tokens]
        patches = x[:, self.num_prefix_tokens + self.num_replaced :]
        return torch.cat((prefix, prompts, patches), dim=1)

    def before_block(self, block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Forward pre-hook of a block."""
        return (self(inputs[0]), *inputs[1:])


@MODELS.register_module()
class VPTShallow(Tuning):
    """VPT-shallow: prompts enter the sequence before the first block and pass through all.

    Where the ViT has a norm before its blocks (CLIP), they enter after it.

    >>> VPTShallow(num_tokens=5).num_prompts
    5

    Args:
        num_tokens: Number of prompts. Defaults to 10.
        dropout: Of the prompts' values. Defaults to 0.

    Raises:
        ValueError: if an option is out of its range.
    """

    #: how many blocks get prompts of their own; None for all
    depth: int | None = 1

    def __init__(self, num_tokens: int = 10, dropout: float = 0.0) -> None:
        check_options(type(self).__name__, dropout, num_tokens=num_tokens)
        self.num_prompts, self.dropout = num_tokens, dropout

    def apply(self, vit: PlainViT) -> list[Prompts]:
        """Give each block its prompts; the first inserts them, the others replace."""
        prompted = vit.blocks[: self.depth]
        for index, block in enumerate(prompted):
            block.prompts = Prompts(vit, self.num_prompts, self.dropout, replace=index > 0)
            # A bound method, unlike a closure, follows a deep copy of the block to its prompts.
            block.register_forward_pre_hook(block.prompts.before_block)
        for block in vit.blocks:
            # Attention with RoPE rotates what follows its prefix tokens: prompts have no position.
            if hasattr(block.attn, 'num_prefix_tokens'):
                block.attn.num_prefix_tokens += self.num_prompts
        return [block.prompts for block in prompted]


@MODELS.register_module()
class VPTDeep(VPTShallow):
    """VPT-deep: as VPT-shallow, but every further block puts prompts of its own in their place.

    >>> VPTDeep(num_tokens=5).depth is None
    True

    Options as of :class:`VPTShallow`; ``num_tokens`` is that of each block.
    """

    depth = None
