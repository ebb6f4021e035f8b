"""Where the class token of a frozen ViT looks."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torch.nn as nn
from mmpretrain.registry import TASK_UTILS
from torch import Tensor

from dva_mm.models import FrozenViT

from ..encoder_maps import EncoderMaps, to_grid


@TASK_UTILS.register_module()
class AttentionBoxes:
    """The box around the patches that the class token of the frozen encoder attends to.

    Args:
        encoder: Config of a FrozenViT with a class token; the command gives the model's.
        data_preprocessor: Config of the preprocessor, which normalises; given as well.
        block: Index of the block, negative from the end; not with ``rollout``. Defaults to -3.
        rollout: Follow attention through all blocks. Defaults to False.
        keep: Share of the map to keep. Defaults to 0.7, with ``rollout`` to 0.5.
        img_size: Input of the encoder in pixels, larger for a finer grid. Defaults to None: the
            config's.
        device: Where to compute. Defaults to 'cpu'.

    Raises:
        ValueError: If an option is out of range, or the encoder has no class token.

    >>> encoder = dict(type='FrozenViT', arch='test_vit', img_size=32, pretrained=False)
    >>> AttentionBoxes(encoder, {}, block=-1).options['block']
    -1
    """

    source = 'attention'

    def __init__(
        self,
        encoder: dict,
        data_preprocessor: dict | None,
        block: int | None = None,
        rollout: bool = False,
        keep: float | None = None,
        img_size: int | None = None,
        device: str = 'cpu',
    ) -> None:
        if rollout and block is not None:
            raise ValueError(f'rollout follows all blocks; leave out rollout or block={block}')
        block = -3 if block is None else block
        saliency = attention_rollout if rollout else partial(class_attention, block=block)
        keep = (0.5 if rollout else 0.7) if keep is None else keep
        maps = EncoderMaps(encoder, data_preprocessor, saliency, keep, img_size, device)
        _check(maps.encoder, 0 if rollout else block)
        self.options = maps.options | (dict(rollout=True) if rollout else dict(block=block))
        self.prepare, self.detect = maps.prepare, maps.detect


def self_attention(attention: nn.Module, x: Tensor, rows: int | None = None) -> Tensor:
    """The weights that a block's attention puts on the values, heads averaged: (B, rows, N).

    Args:
        attention: timm's or mmpretrain's, with ``qkv`` and ``num_heads``.
        x: Its input, (B, N, C).
        rows: Compute those of the first so many queries alone. None takes all. Defaults to None.

    >>> from timm.layers import Attention
    >>> self_attention(Attention(8, num_heads=2), torch.zeros(1, 4, 8), rows=1)
    tensor([[[0.2500, 0.2500, 0.2500, 0.2500]]], grad_fn=...)
    """
    batch, tokens, _ = x.shape
    q, k, _ = attention.qkv(x).chunk(3, dim=-1)  # each (B, N, D)
    q, k = (t.reshape(batch, tokens, attention.num_heads, -1).transpose(1, 2) for t in (q, k))
    q = getattr(attention, 'q_norm', nn.Identity())(q)[:, :, :rows]  # (B, heads, rows, d)
    k = getattr(attention, 'k_norm', nn.Identity())(k)  # (B, heads, N, d)
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5  # (B, heads, rows, N)
    return scores.float().softmax(dim=-1).mean(dim=1)


def class_attention(encoder: FrozenViT, images: Tensor, block: int = -3) -> Tensor:
    """Attention of the class token to the patches, (B, h, w), in one block, heads averaged.

    In a supervised ViT the last block puts much of it on single background patches (Darcet et al.
    2023, https://arxiv.org/abs/2309.16588), hence the default. Adapters, if any, count.

    Args:
        encoder: With a class token.
        images: Normalised, (B, 3, H, W), of the encoder's size.
        block: Index of the block, negative from the end. Defaults to -3.

    Raises:
        ValueError: If the encoder has no class token, no such block, or rotary positions.

    >>> vit = FrozenViT('test_vit', img_size=32, pretrained=False)
    >>> class_attention(vit, torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 2, 2])
    """
    _check(encoder, block)
    rows: list[Tensor] = []

    def look(attention: nn.Module, x: Tensor) -> None:
        rows.append(self_attention(attention, x, rows=1)[:, 0])  # (B, N)

    _run(encoder, images, [encoder.blocks[block]], look)
    return to_grid(encoder, rows[0])


def attention_rollout(encoder: FrozenViT, images: Tensor) -> Tensor:
    """Attention of the class token to the patches, followed through all blocks.

    Abnar & Zuidema 2020 (https://arxiv.org/abs/2005.00928): the class token's row of
    the product over all blocks l of ``(A_l + I) / 2``, the last block at the left, with A_l the
    mean over the heads of block l. Everything else as in :func:`class_attention`.

    >>> vit = FrozenViT('test_vit', img_size=32, pretrained=False)
    >>> attention_rollout(vit, torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 2, 2])
    """
    _check(encoder)
    product: list[Tensor] = []

    def multiply(attention: nn.Module, x: Tensor) -> None:
        step = self_attention(attention, x)  # (B, N, N)
        step = (step + torch.eye(step.shape[-1], device=step.device)) / 2
        product[:] = [step @ product[0] if product else step]

    _run(encoder, images, encoder.blocks, multiply)
    return to_grid(encoder, product[0][:, 0])


def _run(
    encoder: FrozenViT,
    images: Tensor,
    blocks: Iterable[nn.Module],
    look: Callable[[nn.Module, Tensor], Any],
) -> None:
    """One forward of the encoder; ``look`` sees each block's attention module and its input."""

    def hook(attention: nn.Module, inputs: tuple[Tensor, ...], options: dict) -> None:
        if options.get('rope') is not None:
            raise ValueError(
                'the encoder has rotary positions, of which its attention maps here would know '
                'nothing; choose --detector type=PatchPCA'
            )
        look(attention, inputs[0])

    handles = [block.attn.register_forward_pre_hook(hook, with_kwargs=True) for block in blocks]
    try:
        encoder(images)
    finally:
        for handle in handles:
            handle.remove()


def _check(encoder: FrozenViT, block: int = 0) -> None:
    host, count = encoder.host, len(encoder.blocks)
    if not getattr(host, 'has_class_token', getattr(host, 'with_cls_token', False)):
        raise ValueError(
            f'{encoder.encoder_info()["name"]} has no class token, so it has no attention of one; '
            'choose --detector type=PatchPCA, or an encoder that has'
        )
    if not -count <= block < count:
        raise ValueError(f'the encoder has {count} blocks, block={block} is none of them')
