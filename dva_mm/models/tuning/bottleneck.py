"""A bottleneck beside a part of a block, such as its MLP."""

import math

import torch.nn as nn
from torch import Tensor

from ..plain_vit import PlainViT

ACTIVATIONS = {'GELU': nn.GELU, 'ReLU': nn.ReLU, None: nn.Identity}


class Bottleneck(nn.Module):
    """The branch ``s · up(σ(down(x)))``, (..., C) -> (..., C), zero at the start.

    >>> import torch
    >>> Bottleneck(8, rank=2)(torch.randn(3, 8)).any().item()
    False

    Args:
        embed_dims: C.
        rank: Width between down and up.
        act: σ: 'GELU', 'ReLU' or None. Defaults to 'GELU'.
        scale: s. Defaults to 1.0.
        bias: Of both projections. Defaults to False.
        dropout: Of the values between them. Defaults to 0.
    """

    def __init__(
        self,
        embed_dims: int,
        rank: int,
        act: str | None = 'GELU',
        scale: float = 1.0,
        bias: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(embed_dims, rank, bias=bias)
        self.up = nn.Linear(rank, embed_dims, bias=bias)
        self.act = ACTIVATIONS[act]()
        self.dropout = nn.Dropout(dropout)
        self.reset()

    def reset(self) -> None:
        """Back to the start: down-projection Kaiming uniform, all else zero."""
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            if parameter is not None:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(self.dropout(self.act(self.down(x))))

    def beside(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Forward hook of a module (..., C) -> (..., C): add the branch to its output."""
        return output + self(inputs[0])


def mlp_of(block: nn.Module, vit: PlainViT, tuning: str) -> nn.Module:
    """The MLP of a block without its norm, LayerScale and identity; ValueError without one."""
    # mmpretrain's FFN puts LayerScale and the identity around the layers of its MLP.
    mlp = block.mlp if hasattr(block, 'mlp') else getattr(block.ffn, 'layers', None)
    if mlp is None:
        raise ValueError(
            f'{tuning} needs an MLP in each block, but {vit.name} has {type(block.ffn).__name__}; '
            'choose another ViT or another tuning'
        )
    return mlp
