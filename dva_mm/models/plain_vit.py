"""What FrozenViT and the ways of tuning know of a plain ViT, whichever library built it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn as nn
from torch import Tensor


@dataclass
class PlainViT:
    """A ViT and its measures.

    >>> from dva_mm.models.timm_vit import build_timm_vit
    >>> vit = build_timm_vit('test_vit', pretrained=False, img_size=32, pooling='cls')
    >>> vit.embed_dims, vit.patch_size, len(vit.blocks)
    (64, 16, 6)
    """

    model: nn.Module
    name: str
    #: transformer blocks, each with the fused Linear of Q, K and V at ``attn.qkv``
    blocks: nn.ModuleList | nn.Sequential
    #: side in pixels, or (height, width)
    img_size: int | tuple[int, int]
    #: side in pixels
    patch_size: int
    embed_dims: int
    #: class and register tokens, which stand before the patch tokens
    num_prefix_tokens: int
    #: images (B, 3, H, W) -> tokens after the final norm (B, N, C)
    tokens: Callable[[Tensor], Tensor]
    #: the norm on averaged patch tokens, (B, C) -> (B, C)
    pooled_norm: Callable[[Tensor], Tensor]
    #: what all tokens pass on their way to the first block, (B, N, C) -> (B, N, C); None where
    #: blocks ask for the tokens' positions (RoPE)
    before_blocks: nn.Module | None = None
    #: the ViT's own attention pooling, (B, N, C) -> (B, C)
    attention_pool: Callable[[Tensor], Tensor] | None = None


def check_img_size(img_size: int | Sequence[int]) -> int | tuple[int, int]:
    """A side, or (height, width) of an image that is not square, in pixels; else ValueError.

    >>> check_img_size([224, 224]), check_img_size((224, 448))
    (224, (224, 448))
    """
    sides = [img_size] if isinstance(img_size, int) else img_size
    plain = isinstance(sides, list | tuple) and len(sides) in (1, 2)
    if not plain or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f'img_size must be a side or (height, width) in pixels, got {img_size!r}')
    return sides[0] if len(set(sides)) == 1 else tuple(sides)
