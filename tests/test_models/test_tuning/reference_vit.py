"""A ViT of timm or mmpretrain written out block by block, past the hooks of its blocks."""

import torch
import torch.nn.functional as F

from dva_mm.models import FrozenViT


def build(arch, tuning, pooling='cls'):
    """An encoder with noise on every tensor, so that no part can be zero or swapped unnoticed."""
    encoder = FrozenViT(arch, False, 32, pooling, tuning=tuning).eval()
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
    """The MLP spelt out, and a bottleneck beside it."""
    if hasattr(block, 'mlp'):
        first, last, norm, scale = block.mlp.fc1, block.mlp.fc2, block.norm2, block.ls2
    else:
        first, last = block.ffn.layers[0][0], block.ffn.layers[1]
        norm, scale = block.ln2, block.ffn.gamma2
    normed = norm(x)
    hidden = F.gelu(normed @ first.weight.T + first.bias)
    out = hidden @ last.weight.T + last.bias
    if branch is not None:
        narrow = normed @ branch.down.weight.T
        if branch.down.bias is None:  # ICA's
            out = out + branch.scale * F.gelu(narrow) @ branch.up.weight.T
        else:  # AdaptFormer's
            narrow = (narrow + branch.down.bias).clamp(min=0)
            out = out + branch.scale * (narrow @ branch.up.weight.T + branch.up.bias)
    return x + scale(out)


def blocks_of(host):
    return host.blocks if hasattr(host, 'blocks') else host.layers


def prefix_of(host):
    return host.num_prefix_tokens if hasattr(host, 'blocks') else 1


def expected_embedding(encoder, tokens, pooling, num_prompts=0):
    if pooling == 'cls':
        return tokens[:, 0]
    patches = list(range(prefix_of(encoder.host) + num_prompts, tokens.shape[1]))
    average = sum(tokens[:, i] for i in patches) / len(patches)
    if pooling == 'cls+avg':
        halves = [
            half / (half**2).sum(dim=1, keepdim=True).sqrt() for half in (tokens[:, 0], average)
        ]
        return torch.cat(halves, dim=1)
    return encoder.host.fc_norm(average) if hasattr(encoder.host, 'blocks') else average
