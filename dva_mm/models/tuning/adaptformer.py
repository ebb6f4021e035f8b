"""AdaptFormer: a bottleneck beside the MLP of every block.

Paper: https://arxiv.org/abs/2205.13535.
"""

import math

import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor

from ..plain_vit import PlainViT
from .base import Tuning, check_options


class AdaptMLP(nn.Module):
    """AdaptFormer's branch ``s · up(ReLU(down(x)))``, (..., C), zero at the start.

    >>> import torch
    >>> AdaptMLP(8, bottleneck=2, scale=0.1, dropout=0.0)(torch.randn(3, 8)).any().item()
    False
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


@MODELS.register_module()
class AdaptFormer(Tuning):
    """AdaptFormer: ``x + MLP(LN(x)) + s · up(ReLU(down(LN(x))))`` in every block.

    The branch takes the MLP's normed input, as in the paper; the authors' code feeds it the tokens
    before that norm. LayerScale, if the ViT has it, scales the branch together with the MLP.

    >>> AdaptFormer(bottleneck=32).options
    {'bottleneck': 32, 'scale': 0.1, 'dropout': 0.0}

    Args:
        bottleneck: Width between down and up. Defaults to 64.
        scale: Factor s. Defaults to 0.1.
        dropout: Of the bottleneck's values; 0.1 in the authors' code. Defaults to 0.

    Raises:
        ValueError: if a block has no MLP but mmpretrain's SwiGLU, or an option is out of its range.
    """

    def __init__(self, bottleneck: int = 64, scale: float = 0.1, dropout: float = 0.0) -> None:
        check_options('AdaptFormer', dropout, bottleneck=bottleneck)
        self.options = dict(bottleneck=bottleneck, scale=scale, dropout=dropout)

    def apply(self, vit: PlainViT) -> list[AdaptMLP]:
        """Put an :class:`AdaptMLP` beside the MLP of every block."""
        for block in vit.blocks:
            # mmpretrain's FFN puts LayerScale and the identity around the layers of its MLP.
            mlp = block.mlp if hasattr(block, 'mlp') else getattr(block.ffn, 'layers', None)
            if mlp is None:
                raise ValueError(
                    f'AdaptFormer needs an MLP in each block, but {vit.name} has '
                    f'{type(block.ffn).__name__}; choose another ViT or another tuning'
                )
            block.adapt_mlp = AdaptMLP(vit.embed_dims, **self.options)
            mlp.register_forward_hook(block.adapt_mlp.beside_mlp)
        return [block.adapt_mlp for block in vit.blocks]

    def scale_by(self, module: AdaptMLP, share: float) -> None:
        """Multiply s."""
        module.scale *= share
