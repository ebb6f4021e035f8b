"""Class-token attention, against attention written out one head and one query at a time."""

import math

import pytest
import torch
import torch.nn as nn
from timm.layers import Attention
from torch import Tensor

from dva_mm.detection.sources.attention import (
    AttentionBoxes,
    attention_rollout,
    class_attention,
    self_attention,
)
from dva_mm.models import FrozenViT


def naive_attention(module: nn.Module, x: Tensor) -> Tensor:
    """The weights (N, N) of one image's tokens (N, C), heads averaged."""
    width = module.qkv.out_features // 3
    size = width // module.num_heads
    q_norm = getattr(module, 'q_norm', lambda q: q)
    k_norm = getattr(module, 'k_norm', lambda k: k)
    qkv = module.qkv(x)
    mean = torch.zeros(len(x), len(x))
    for head in range(module.num_heads):
        first = head * size
        q = q_norm(qkv[:, first : first + size])
        k = k_norm(qkv[:, width + first : width + first + size])
        for i in range(len(x)):
            scores = [float(q[i] @ k[j]) / math.sqrt(size) for j in range(len(x))]
            total = sum(math.exp(score) for score in scores)
            mean[i] += torch.tensor([math.exp(score) / total for score in scores])
    return mean / module.num_heads


def block_inputs(encoder: FrozenViT, images: Tensor) -> list[Tensor]:
    """The input of each block's attention, recorded around one forward."""
    inputs = []
    handles = [
        block.attn.register_forward_hook(lambda module, args, out: inputs.append(args[0]))
        for block in encoder.blocks
    ]
    encoder(images)
    for handle in handles:
        handle.remove()
    return inputs


@pytest.fixture
def encoder(arch: str | dict, plain_encoder) -> FrozenViT:
    """Either kind of host with sharp attention: a timm grid of 4, an mmpretrain grid of 8."""
    encoder = plain_encoder(arch, 64)
    for block in encoder.blocks:
        block.attn.qkv.weight.data.normal_(std=0.3)
    return encoder


@pytest.fixture
def large(images: Tensor) -> Tensor:
    return images.repeat_interleave(2, -1).repeat_interleave(2, -2) + torch.randn(3, 3, 64, 64)


@pytest.mark.parametrize('qk_norm', [False, True])
@torch.no_grad()
def test_the_weights_are_those_that_the_module_uses(qk_norm: bool):
    module = Attention(12, num_heads=3, qkv_bias=True, qk_norm=qk_norm, norm_layer=nn.LayerNorm)
    if qk_norm:
        module.q_norm.weight.normal_()
        module.k_norm.weight.normal_()
    x = 2 * torch.randn(2, 5, 12)
    weights = self_attention(module, x)
    for image in range(2):
        torch.testing.assert_close(weights[image], naive_attention(module, x[image]))
    torch.testing.assert_close(self_attention(module, x, rows=2), weights[:, :2])


@pytest.mark.parametrize('block', [-3, -1, 0])
@torch.no_grad()
def test_the_map_is_the_class_tokens_row(encoder: FrozenViT, large: Tensor, block: int):
    maps = class_attention(encoder, large, block=block)
    side = 64 // encoder.encoder_info()['patch_size']
    assert maps.shape == (3, side, side)
    x = block_inputs(encoder, large)[block]
    for image in range(3):
        row = naive_attention(encoder.blocks[block].attn, x[image])[0]
        torch.testing.assert_close(maps[image], row[1:].reshape(side, side))
        assert maps[image].max() > 2 * maps[image].min()  # sharp enough for a mistake to show


@torch.no_grad()
def test_rollout_follows_attention_through_all_blocks(encoder: FrozenViT, large: Tensor):
    before = encoder(large)[0]
    maps = attention_rollout(encoder, large)
    assert torch.equal(encoder(large)[0], before)
    assert not any(block.attn._forward_pre_hooks for block in encoder.blocks)
    inputs = block_inputs(encoder, large)
    for image in range(3):
        flow = torch.eye(inputs[0].shape[1])  # flow[i, j]: how much of input j is in token i
        for block, x in zip(encoder.blocks, inputs, strict=True):
            flow = (0.5 * naive_attention(block.attn, x[image]) + 0.5 * torch.eye(len(flow))) @ flow
        torch.testing.assert_close(maps[image], flow[0, 1:].reshape(maps[image].shape))


@torch.no_grad()
def test_all_tokens_before_the_patches_are_left_out(plain_encoder):
    arch = 'deit_tiny_distilled_patch16_224'  # a class and a distillation token
    encoder = plain_encoder(arch, 32)
    images = torch.randn(1, 3, 32, 32)
    row = naive_attention(encoder.blocks[-3].attn, block_inputs(encoder, images)[-3][0])[0]
    assert len(row) == 6
    torch.testing.assert_close(class_attention(encoder, images)[0], row[2:].reshape(2, 2))


def test_what_has_no_class_token_or_no_such_block_is_refused(plain_encoder, mmpretrain_arch: dict):
    for arch in ('test_vit2', {**mmpretrain_arch, 'with_cls_token': False}):
        encoder = plain_encoder(arch, 32, pooling='avg')
        for find in (class_attention, attention_rollout):
            with pytest.raises(ValueError, match='no class token.*type=PatchPCA'):
                find(encoder, torch.zeros(1, 3, 32, 32))
    config = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    for options in (dict(block=6), dict(block=-7), dict(block=0, rollout=True)):
        with pytest.raises(ValueError, match=f'block={options["block"]}'):
            AttentionBoxes(config, {}, **options)


def test_rotary_positions_are_refused(plain_encoder):
    """Attention modules that turn queries and keys are given the angles as ``rope``."""

    class Turned(nn.Module):
        def __init__(self, block: nn.Module) -> None:
            super().__init__()
            self.attn = block.attn

        def forward(self, x: Tensor) -> Tensor:
            return x + self.attn(x, rope=torch.zeros(1))

    class Attention(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.qkv, self.num_heads, self.inner = inner.qkv, inner.num_heads, inner

        def forward(self, x: Tensor, rope: Tensor) -> Tensor:
            return self.inner(x)

    encoder = plain_encoder('test_vit', 32)
    for index, block in enumerate(encoder.blocks):
        block.attn = Attention(block.attn)
        encoder.blocks[index] = Turned(block)
    with pytest.raises(ValueError, match='rotary.*type=PatchPCA'):
        class_attention(encoder, torch.zeros(1, 3, 32, 32))
