"""AdaptFormer: a bottleneck beside the MLP of every block.

Paper: https://arxiv.org/abs/2205.13535.
"""

from mmpretrain.registry import MODELS

from ..plain_vit import PlainViT
from .base import Tuning, check_options
from .bottleneck import Bottleneck, mlp_of


@MODELS.register_module()
class AdaptFormer(Tuning):
    """AdaptFormer: ``x + MLP(LN(x)) + s · up(ReLU(down(LN(x))))`` in every block.

    The branch takes the MLP's normed input, as in the paper; the authors' code feeds it the tokens
    before that norm. LayerScale, if the ViT has it, scales the branch together with the MLP.

    >>> AdaptFormer(bottleneck=32).options
    {'rank': 32, 'scale': 0.1, 'dropout': 0.0}

    Args:
        bottleneck: Width between down and up. Defaults to 64.
        scale: Factor s. Defaults to 0.1.
        dropout: Of the bottleneck's values; 0.1 in the authors' code. Defaults to 0.

    Raises:
        ValueError: if a block has no MLP but mmpretrain's SwiGLU, or an option is out of its range.
    """

    def __init__(self, bottleneck: int = 64, scale: float = 0.1, dropout: float = 0.0) -> None:
        check_options('AdaptFormer', dropout, bottleneck=bottleneck)
        self.options = dict(rank=bottleneck, scale=scale, dropout=dropout)

    def apply(self, vit: PlainViT) -> list[Bottleneck]:
        """Put a :class:`Bottleneck` with biases beside the MLP of every block."""
        mlps = [mlp_of(block, vit, 'AdaptFormer') for block in vit.blocks]  # or ValueError
        for block, mlp in zip(vit.blocks, mlps, strict=True):
            block.adapt_mlp = Bottleneck(vit.embed_dims, **self.options, act='ReLU', bias=True)
            mlp.register_forward_hook(block.adapt_mlp.beside)
        return [block.adapt_mlp for block in vit.blocks]

    def scale_by(self, module: Bottleneck, share: float) -> None:
        """Multiply s."""
        module.scale *= share
