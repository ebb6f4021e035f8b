"""What FrozenViT and the ways of tuning know of a plain ViT, whichever library built it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

POOLINGS = ('cls', 'avg', 'cls+avg', 'map')
"""What an embedding is made of; see FrozenViT."""


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

    @contextmanager
    def keep_patches(self, patches: Tensor) -> Iterator[None]:
        """Let images keep their prefix tokens and the patch tokens of these places, (B, n) int64.

        ValueError for a ViT with RoPE.
        """
        if self.before_blocks is None:
            raise ValueError(
                f'{self.name} rotates its tokens by their places (RoPE), which sequences of '
                'some patches alone lose; train it by OPA instead of TokenOPA'
            )
        prefix = self.num_prefix_tokens

        def keep(module: nn.Module, inputs: tuple, tokens: Tensor) -> Tensor:
            places = patches[..., None].expand(-1, -1, tokens.shape[-1])  # (B, n, C)
            return torch.cat((tokens[:, :prefix], tokens[:, prefix:].gather(1, places)), dim=1)

        handle = self.before_blocks.register_forward_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    def pool(self, tokens: Tensor, pooling: str, num_prompts: int = 0) -> Tensor:
        """The embedding of tokens after the final norm: (B, N, C) -> (B, C), of 'cls+avg' (B, 2C).

        Args:
            tokens: Prefix tokens, prompts, patch tokens.
            pooling: One of :data:`POOLINGS`.
            num_prompts: Number of prompts, which are left out. Defaults to 0.
        """
        if pooling == 'cls':
            return tokens[:, 0]
        patches = tokens[:, self.num_prefix_tokens + num_prompts :]
        if pooling == 'avg':
            return self.pooled_norm(patches.mean(dim=1))
        if pooling == 'cls+avg':
            halves = (tokens[:, 0], patches.mean(dim=1))
            return torch.cat([F.normalize(half, dim=1) for half in halves], dim=1)
        prefix = tokens[:, : self.num_prefix_tokens]
        return self.attention_pool(torch.cat((prefix, patches), dim=1))

    def region_means(self, tokens: Tensor, regions: Tensor, num_prompts: int = 0) -> Tensor:
        """Means of some patch tokens, as 'avg' pools all of them: (B, N, C), (B, P) -> (B, C).

        Args:
            tokens: Prefix tokens, prompts, P patch tokens.
            regions: 1 for each patch that counts, 0 for the others. What none of them give has no
                meaning.
            num_prompts: Number of prompts. Defaults to 0.
        """
        patches = tokens[:, self.num_prefix_tokens + num_prompts :]
        weights = regions / regions.sum(dim=1, keepdim=True).clamp(min=1)
        return self.pooled_norm((weights.to(patches)[:, None] @ patches)[:, 0])


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


def check_weights(pretrained: bool | str, init_cfg: dict | list[dict] | None) -> None:
    """Raise ValueError or FileNotFoundError for weights that FrozenViT cannot start from.

    >>> check_weights(True, init_cfg=None)
    """
    for config in init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]:
        if config.get('type') == 'Pretrained':
            raise ValueError(
                f'FrozenViT takes no weights from init_cfg={config!r}; set '
                'model.backbone.pretrained to the file of the ViT alone'
            )
    if not isinstance(pretrained, bool | str):
        raise ValueError(f'FrozenViT pretrained must be True, False or a file, got {pretrained!r}')
    if isinstance(pretrained, str) and '://' not in pretrained:
        path = Path(pretrained).expanduser().absolute()
        if not path.is_file():
            raise FileNotFoundError(
                f'FrozenViT: the weights file {path} does not exist; set model.backbone.pretrained '
                'to a .safetensors, .pth or .npz file, to True for the hub, or to False for random '
                'weights'
            )
