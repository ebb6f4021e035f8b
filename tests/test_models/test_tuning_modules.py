"""VPT and AdaptFormer against a ViT written out block by block."""

import dataclasses
import math

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from dva_mm.models import FrozenViT
from dva_mm.models.hosts import build_timm_host
from dva_mm.models.tuning_modules import AdaptMLP, Prompts

SCALED = dict(layer_scale_init_value=0.5)  # LayerScale


def build(arch, tuning, pooling='cls'):
    """An encoder with noise on every tensor, so that no part can be zero or swapped unnoticed."""
    encoder = FrozenViT(arch, False, 32, pooling, ica=None, tuning=tuning).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder


def embedded(host, images):
    """Prefix and patch tokens with their positions, (B, N, C)."""
    if hasattr(host, 'forward_features'):  # timm
        return host.norm_pre(host._pos_embed(host.patch_embed(images)))
    patches, _ = host.patch_embed(images)
    return torch.cat([host.cls_token.expand(len(images), -1, -1), patches], 1) + host.pos_embed


def after_attention(block, x):
    if hasattr(block, 'mlp'):
        return x + block.ls1(block.attn(block.norm1(x)))
    return x + block.attn(block.ln1(x))  # with its LayerScale inside


def after_mlp(block, x, branch=None):
    """The MLP spelt out, and AdaptFormer's branch beside it."""
    if hasattr(block, 'mlp'):
        first, last, norm, scale = block.mlp.fc1, block.mlp.fc2, block.norm2, block.ls2
    else:
        first, last = block.ffn.layers[0][0], block.ffn.layers[1]
        norm, scale = block.ln2, block.ffn.gamma2
    normed = norm(x)
    hidden = F.gelu(normed @ first.weight.T + first.bias)
    out = hidden @ last.weight.T + last.bias
    if branch is not None:
        bottleneck = (normed @ branch.down.weight.T + branch.down.bias).clamp(min=0)
        out = out + branch.scale * (bottleneck @ branch.up.weight.T + branch.up.bias)
    return x + scale(out)


def blocks_of(host):
    return host.blocks if hasattr(host, 'blocks') else host.layers


def prefix_of(host):
    return host.num_prefix_tokens if hasattr(host, 'blocks') else 1


def naive_vpt(host, images, prompts, deep):
    """Image by image, token by token; the final norm's output (B, N, C)."""
    prefix = prefix_of(host)
    outputs = []
    for image in images:
        tokens = list(embedded(host, image[None])[0])
        tokens = tokens[:prefix] + list(prompts[0]) + tokens[prefix:]
        for index, block in enumerate(blocks_of(host)):
            if deep and index > 0:
                tokens[prefix : prefix + len(prompts[index])] = list(prompts[index])
            x = torch.stack(tokens)[None]
            # forward() passes by the block's hooks
            tokens = list(after_mlp(block, after_attention(block, x))[0])
        outputs.append((host.norm if hasattr(host, 'blocks') else host.ln1)(torch.stack(tokens)))
    return torch.stack(outputs)


def expected_embedding(encoder, tokens, pooling, num_prompts):
    if pooling == 'cls':
        return tokens[:, 0]
    patches = list(range(prefix_of(encoder.host) + num_prompts, tokens.shape[1]))
    average = sum(tokens[:, i] for i in patches) / len(patches)
    return encoder.host.fc_norm(average) if hasattr(encoder.host, 'blocks') else average


@pytest.mark.parametrize('pooling', ['cls', 'avg'])
@pytest.mark.parametrize('deep', [False, True])
def test_prompts_equal_the_sequence_written_out(arch, images, deep, pooling):
    encoder = build(arch, dict(type='VPTDeep' if deep else 'VPTShallow', num_tokens=3), pooling)
    prompts = [block.prompts.tokens for block in encoder.blocks[: None if deep else 1]]
    assert all(tokens.shape == (3, encoder.embed_dims) for tokens in prompts)
    tokens = naive_vpt(encoder.host, images, prompts, deep)
    assert tokens.shape[1] == (4 if isinstance(arch, str) else 16) + 1 + 3
    want = expected_embedding(encoder, tokens, pooling, 3)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


def test_prompts_go_after_register_tokens(images):
    encoder = build('test_vit2', dict(type='VPTDeep', num_tokens=2), 'avg')
    assert encoder.host.num_prefix_tokens == 1 and not encoder.host.has_class_token
    prompts = [block.prompts.tokens for block in encoder.blocks]
    tokens = naive_vpt(encoder.host, images, prompts, deep=True)
    want = expected_embedding(encoder, tokens, 'avg', 2)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('replace', [False, True])
def test_all_prefix_tokens_stay_in_front_of_the_prompts(replace):
    host = dataclasses.replace(build_timm_host('test_vit', False, 32, 'cls'), num_prefix_tokens=3)
    prompts = Prompts(host, num_tokens=2, dropout=0.0, replace=replace)
    x = torch.randn(2, 9, 64)
    want = [torch.stack([*t[:3], *prompts.tokens, *t[5 if replace else 3 :]]) for t in x]
    assert torch.equal(prompts(x), torch.stack(want))


def test_prompts_are_drawn_in_the_papers_range(arch):
    encoder = FrozenViT(arch, False, 32, ica=None, tuning=dict(type='VPTDeep', num_tokens=50))
    side, width = (16, 64) if isinstance(arch, str) else (8, 32)
    bound = math.sqrt(6 / (3 * side * side + width))
    drawn = torch.stack([block.prompts.tokens for block in encoder.blocks])
    assert 0.99 * bound < drawn.max() <= bound
    assert -bound <= drawn.min() < -0.99 * bound
    assert abs(drawn.std() - bound / math.sqrt(3)) < 0.02 * bound
    assert not torch.equal(drawn[0], drawn[1])


def test_prompt_dropout_zeroes_values_in_training_alone():
    host = build_timm_host('test_vit', False, 32, 'cls')
    prompts = Prompts(host, num_tokens=40, dropout=0.25, replace=False)
    x = torch.randn(2, 5, 64)
    out = prompts(x)
    dropped = out[:, 1:41] == 0
    assert 0.2 < dropped.float().mean() < 0.3
    torch.testing.assert_close(
        out[:, 1:41], (prompts.tokens / 0.75).masked_fill(dropped, 0), rtol=1e-5, atol=0
    )
    assert torch.equal(out[:, :1], x[:, :1]) and torch.equal(out[:, 41:], x[:, 1:])
    assert torch.equal(prompts.eval()(x)[:, 1:41], prompts.tokens.expand(2, -1, -1))


@pytest.mark.parametrize('pooling', ['cls', 'avg'])
def test_adaptformer_equals_the_blocks_written_out(arch, images, pooling):
    if isinstance(arch, dict):
        arch.update(SCALED)
    encoder = build(arch, dict(type='AdaptFormer', bottleneck=5, scale=0.3), pooling)
    host = encoder.host
    x = embedded(host, images)
    for block in encoder.blocks:
        x = after_mlp(block, after_attention(block, x), block.adapt_mlp)
    tokens = host.norm(x) if isinstance(arch, str) else host.ln1(x)
    want = expected_embedding(encoder, tokens, pooling, 0)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


def test_the_branch_lies_within_layer_scale_in_timm_too(images):
    timm_encoder = build('test_vit2', dict(type='AdaptFormer', bottleneck=4), 'avg')
    block = timm_encoder.blocks[0]
    assert type(block.ls2).__name__ == 'LayerScale'
    x = torch.randn(2, 3, timm_encoder.embed_dims)
    want = after_mlp(block, after_attention(block, x), block.adapt_mlp)
    torch.testing.assert_close(block(x), want, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(block(x), after_mlp(block, after_attention(block, x)), atol=1e-3)


def test_a_branch_starts_at_zero_with_a_kaiming_down_projection():
    branch = AdaptMLP(64, bottleneck=32, scale=0.1, dropout=0.0)
    for _ in range(2):
        assert not branch.up.weight.any() and not branch.up.bias.any()
        assert not branch.down.bias.any()
        bound = 1 / math.sqrt(64)
        assert 0.98 * bound < branch.down.weight.abs().max() <= bound
        for parameter in branch.parameters():
            nn.init.constant_(parameter, 3.0)
        branch.reset()


def test_bottleneck_dropout_acts_in_training_alone():
    branch = AdaptMLP(8, bottleneck=6, scale=0.5, dropout=0.5)
    nn.init.ones_(branch.up.weight)
    nn.init.ones_(branch.down.bias)
    nn.init.zeros_(branch.down.weight)
    x = torch.randn(50, 8)
    kept = branch(x)[:, 0] / 0.5 / 2  # how many of the six ones remain, each doubled
    assert set(kept.tolist()) <= set(range(7)) and len(set(kept.tolist())) > 2
    assert torch.equal(branch.eval()(x), torch.full((50, 8), 3.0))


def test_adaptformer_refuses_swiglu(mmpretrain_arch):
    mmpretrain_arch['layer_cfgs'] = dict(ffn_type='swiglu_fused')
    with pytest.raises(ValueError, match=r'needs an MLP.*SwiGLUFFNFused; choose another'):
        FrozenViT(mmpretrain_arch, False, 32, ica=None, tuning=dict(type='AdaptFormer'))
