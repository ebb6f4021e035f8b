"""The modules that VPT and AdaptFormer add to a ViT, and the hooks that put them to work."""

import math
from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from .hosts import Host


class Prompts(nn.Module):
    r"""VPT's learnable tokens, after the prefix tokens (class, registers) of a sequence.

    Paper: https://arxiv.org/abs/2203.12119. Drawn uniformly from :math:`\pm\sqrt{6 / (3P^2 + C)}`
    for patches of side P and tokens of width C.

    Args:
        host: The ViT; gives C, P and the number of prefix tokens.
        num_tokens: Number of prompts T.
        dropout: Probability that a value of a prompt is zeroed.
        replace: Whether the sequence has T prompts already, which these replace.

    Shape:
        (B, N, C) -> (B, N + T, C), or (B, N, C) when replacing.
    """

    def __init__(self, host: Host, num_tokens: int, dropout: float, replace: bool) -> None:
        super().__init__()
        self.bound = math.sqrt(6 / (3 * host.patch_size**2 + host.embed_dims))
        self.num_prefix_tokens = host.num_prefix_tokens
        self.num_replaced = num_tokens if replace else 0
        self.tokens = nn.Parameter(torch.empty(num_tokens, host.embed_dims))
        self.dropout = nn.Dropout(dropout)
        self.reset()

    def reset(self) -> None:
        """Draw the tokens anew."""
        nn.init.uniform_(self.tokens, -self.bound, self.bound)

    def forward(self, x: Tensor) -> Tensor:
        prompts = self.dropout(self.tokens.expand(len(x), -1, -1))  # (B, T, C)
        prefix = x[:, : self.num_prefix_tokens]
        patches = x[:, self.num_prefix_tokens + self.num_replaced :]
        return torch.cat((prefix, prompts, patches), dim=1)

    def before_block(self, block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Forward pre-hook of a block."""
        return (self(inputs[0]), *inputs[1:])


def add_prompts(
    host: Host, blocks: Sequence[nn.Module], num_tokens: int, dropout: float
) -> list[Prompts]:
    """Give each of ``blocks`` prompts of its own; the first inserts them, the others replace.

    Args:
        host: The ViT.
        blocks: The first block of the host, or more from the first on.
        num_tokens, dropout: See :class:`Prompts`.

    Returns:
        The prompts, in the order of the blocks.
    """
    added = []
    for index, block in enumerate(blocks):
        block.prompts = Prompts(host, num_tokens, dropout, replace=index > 0)
        # A bound method, unlike a closure, follows a deep copy of the block to the copied prompts.
        block.register_forward_pre_hook(block.prompts.before_block)
        added.append(block.prompts)
    return added


class AdaptMLP(nn.Module):
    r"""AdaptFormer's branch :math:`s \cdot up(ReLU(down(x)))` beside an MLP.

    Paper: https://arxiv.org/abs/2205.13535. Its output is zero until the first optimiser step.

    Args:
        embed_dims: Width C of the tokens.
        bottleneck: Width between down and up.
        scale: Factor s.
        dropout: Probability that a value of the bottleneck is zeroed.

    Shape:
        (..., C) -> (..., C).
    """

    def __init__(self, embed_dims: int, bottleneck: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(embed_dims, bottleneck)
        self.up = nn.Linear(bottleneck, embed_dims)
        self.dropout = nn.Dropout(dropout)
        self.reset()

    def reset(self) -> None:
        """Back to the start: down-projection Kaiming uniform, all else zero."""
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(self.dropout(F.relu(self.down(x))))

    def beside_mlp(self, mlp: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Forward hook of an MLP."""
        return output + self(inputs[0])


def add_adapt_mlps(host: Host, bottleneck: int, scale: float, dropout: float) -> list[AdaptMLP]:
    """Put an :class:`AdaptMLP` beside the MLP of every block.

    Args:
        host: The ViT.
        bottleneck, scale, dropout: See :class:`AdaptMLP`.

    Returns:
        The branches, in the order of the blocks.

    Raises:
        ValueError: if a block has no MLP but mmpretrain's SwiGLU.
    """
    added = []
    for block in host.blocks:
        # mmpretrain's FFN puts LayerScale and the identity around the layers of its MLP.
        mlp = block.mlp if hasattr(block, 'mlp') else getattr(block.ffn, 'layers', None)
        if mlp is None:
            raise ValueError(
                f'AdaptFormer needs an MLP in each block, but {host.name} has '
                f'{type(block.ffn).__name__}; choose another host or another tuning'
            )
        block.adapt_mlp = AdaptMLP(host.embed_dims, bottleneck, scale, dropout)
        mlp.register_forward_hook(block.adapt_mlp.beside_mlp)
        added.append(block.adapt_mlp)
    return added
