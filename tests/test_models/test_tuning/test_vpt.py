import dataclasses
import math

import pytest
import torch
from reference_vit import (
    after_attention,
    after_mlp,
    blocks_of,
    build,
    embedded,
    expected_embedding,
    prefix_of,
)

from dva_mm.models import FrozenViT, ICALinear
from dva_mm.models.timm_vit import build_timm_vit
from dva_mm.models.tuning.vpt import Prompts


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


@pytest.mark.parametrize('pooling', ['cls', 'avg', 'cls+avg'])
@pytest.mark.parametrize('name', ['VPTShallow', 'VPTDeep', 'PromptedICA'])
def test_prompts_equal_the_sequence_written_out(arch, images, name, pooling):
    encoder, deep = build(arch, dict(type=name, num_tokens=3), pooling), name != 'VPTShallow'
    adapters = [m for m in encoder.modules() if isinstance(m, ICALinear)]
    assert len(adapters) == (len(encoder.blocks) if name == 'PromptedICA' else 0)
    for weight in (weight for adapter in adapters for weight in adapter.parameters()):
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.2)
    prompts = [block.prompts.tokens for block in encoder.blocks[: None if deep else 1]]
    width = encoder.embed_dims // (2 if pooling == 'cls+avg' else 1)
    assert all(tokens.shape == (3, width) for tokens in prompts)
    tokens = naive_vpt(encoder.host, images, prompts, deep)
    assert tokens.shape[1] == (4 if isinstance(arch, str) else 16) + 1 + 3
    want = expected_embedding(encoder, tokens, pooling, 3)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('replace', [False, True])
def test_all_prefix_tokens_stay_in_front_of_the_prompts(replace):
    vit = dataclasses.replace(build_timm_vit('test_vit', False, 32, 'cls'), num_prefix_tokens=3)
    prompts = Prompts(vit, num_tokens=2, dropout=0.0, replace=replace)
    x = torch.randn(2, 9, 64)
    want = [torch.stack([*t[:3], *prompts.tokens, *t[5 if replace else 3 :]]) for t in x]
    assert torch.equal(prompts(x), torch.stack(want))


def test_prompts_are_drawn_in_the_papers_range(arch):
    encoder = FrozenViT(arch, False, 32, tuning=dict(type='VPTDeep', num_tokens=50))
    side, width = (16, 64) if isinstance(arch, str) else (8, 32)
    bound = math.sqrt(6 / (3 * side * side + width))
    drawn = torch.stack([block.prompts.tokens for block in encoder.blocks])
    assert 0.99 * bound < drawn.max() <= bound
    assert -bound <= drawn.min() < -0.99 * bound
    assert abs(drawn.std() - bound / math.sqrt(3)) < 0.02 * bound
    assert not torch.equal(drawn[0], drawn[1])
