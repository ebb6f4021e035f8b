"""Where the class token of a frozen ViT looks."""

import torch
import torch.nn as nn
from torch import Tensor

from dva_mm.models import FrozenViT


def self_attention(attention: nn.Module, x: Tensor, rows: int | None = None) -> Tensor:
    """The weights that a block's attention module puts on the values, heads averaged.

    Args:
        attention: timm's or mmpretrain's, with ``qkv`` and ``num_heads``.
        x: Its input, (B, N, C).
        rows: Compute those of the first so many queries alone. None takes all. Defaults to None.

    Returns:
        (B, rows, N); each row sums to 1.
    """
    batch, tokens, _ = x.shape
    q, k, _ = attention.qkv(x).chunk(3, dim=-1)  # each (B, N, D)
    q, k = (t.reshape(batch, tokens, attention.num_heads, -1).transpose(1, 2) for t in (q, k))
    q = getattr(attention, 'q_norm', nn.Identity())(q)[:, :, :rows]  # (B, heads, rows, d)
    k = getattr(attention, 'k_norm', nn.Identity())(k)  # (B, heads, N, d)
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5  # (B, heads, rows, N)
    return scores.float().softmax(dim=-1).mean(dim=1)


def class_attention(encoder: FrozenViT, images: Tensor, block: int = -3) -> Tensor:
    """Attention of the class token to the patches in one block, heads averaged.

    In a supervised ViT the last block puts much of it on single background patches (Darcet et al.
    2023, https://arxiv.org/abs/2309.16588), hence the default.

    Args:
        encoder: With a class token. Adapters, if any, count.
        images: Normalised, (B, 3, H, W), of the encoder's size.
        block: Index of the block, negative from the end. Defaults to -3.

    Returns:
        (B, h, w) over the patch grid, without class and register tokens; sums below 1.

    Raises:
        ValueError: if the encoder has no class token, or no such block.
    """
    _check_class_token(encoder)
    count = len(encoder.blocks)
    if not -count <= block < count:
        raise ValueError(f'the encoder has {count} blocks, block {block} is none of them')
    maps: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps.append(self_attention(module, inputs[0], rows=1)[:, 0])  # (B, N)

    handle = encoder.blocks[block].attn.register_forward_pre_hook(hook)
    try:
        encoder(images)
    finally:
        handle.remove()
    return to_grid(encoder, maps[0])


def attention_rollout(encoder: FrozenViT, images: Tensor) -> Tensor:
    r"""Attention of the class token to the patches, followed through all blocks.

    Abnar & Zuidema 2020 (https://arxiv.org/abs/2005.00928): the class token's row of
    :math:`\prod_l \tfrac12 (A_l + I)`, the last block at the left, with :math:`A_l` the mean over
    the heads of block l.

    Args, Returns, Raises: as :func:`class_attention`.
    """
    _check_class_token(encoder)
    product: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        step = self_attention(module, inputs[0])  # (B, N, N)
        step = (step + torch.eye(step.shape[-1], device=step.device)) / 2
        product[:] = [step @ product[0] if product else step]

    handles = [block.attn.register_forward_pre_hook(hook) for block in encoder.blocks]
    try:
        encoder(images)
    finally:
        for handle in handles:
            handle.remove()
    return to_grid(encoder, product[0][:, 0])


def to_grid(encoder: FrozenViT, tokens: Tensor) -> Tensor:
    """Of a value a token, (B, N), the patches' over their grid, (B, h, w)."""
    info = encoder.encoder_info()
    side = info['img_size'] // info['patch_size']
    return tokens[:, -side * side :].unflatten(1, (side, side))  # patches come last


def _check_class_token(encoder: FrozenViT) -> None:
    host = encoder.host
    if not getattr(host, 'has_class_token', getattr(host, 'with_cls_token', False)):
        raise ValueError(
            f'{encoder.encoder_info()["name"]} has no class token, so it has no attention of one; '
            'choose --source patch-pca, or an encoder that has'
        )
