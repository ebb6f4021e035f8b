import copy
import math

import pytest
import torch
import torch.nn as nn
from reference_vit import after_attention, after_mlp, build, embedded, expected_embedding

from dva_mm.models import FrozenViT
from dva_mm.models.tuning.bottleneck import Bottleneck


@pytest.mark.parametrize('bias', [False, True])
def test_it_starts_at_zero_with_a_kaiming_down_projection(bias):
    branch = Bottleneck(64, rank=32, bias=bias)
    for _ in range(2):
        assert not branch.up.weight.any()
        assert not bias or not branch.up.bias.any() and not branch.down.bias.any()
        bound = 1 / math.sqrt(64)
        assert 0.98 * bound < branch.down.weight.abs().max() <= bound
        for parameter in branch.parameters():
            nn.init.constant_(parameter, 3.0)
        branch.reset()


@pytest.mark.parametrize('pooling', ['cls', 'avg'])
def test_ica_beside_the_mlp_equals_the_blocks_written_out(arch, images, pooling):
    if isinstance(arch, dict):
        arch['layer_scale_init_value'] = 0.5
    tuning = dict(type='ICA', rank=5, scale=0.3, targets=['mlp'], layers=[-1])
    encoder = build(arch, tuning, pooling)
    host, branch = encoder.host, encoder.blocks[-1].adapt_mlp
    assert branch.scale == 0.3 and branch.down.out_features == 5
    x = embedded(host, images)
    for block in encoder.blocks:
        last = block is encoder.blocks[-1]
        x = after_mlp(block, after_attention(block, x), branch if last else None)
        assert last or not hasattr(block, 'adapt_mlp')
    tokens = host.norm(x) if isinstance(arch, str) else host.ln1(x)
    want = expected_embedding(encoder, tokens, pooling)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'tuning', [dict(type='ICA', targets=['q', 'mlp']), dict(type='AdaptFormer')]
)
def test_the_branches_of_a_copy_are_its_own(arch, images, tuning):
    """As those of an average that EMAHook keeps beside the model."""
    encoder = build(arch, tuning)
    other = copy.deepcopy(encoder)
    (want,) = encoder(images)
    assert torch.equal(other(images)[0], want)
    for block in other.blocks:
        nn.init.zeros_(block.adapt_mlp.up.weight)
    assert torch.equal(encoder(images)[0], want)
    assert not torch.allclose(other(images)[0], want, atol=1e-3)


def test_an_mlp_of_gates_in_mmpretrain_is_refused(mmpretrain_arch):
    mmpretrain_arch['layer_cfgs'] = dict(ffn_type='swiglu_fused')
    tuning = dict(type='ICA', targets=['q', 'mlp'])
    with pytest.raises(ValueError, match="ICA with the target 'mlp' needs an MLP.*SwiGLUFFNFused"):
        FrozenViT(mmpretrain_arch, False, 32, tuning=tuning)


def test_a_branch_beside_the_mlp_cannot_be_merged(arch, images):
    encoder = build(arch, dict(type='ICA', act=None, targets=['q', 'mlp']))
    (want,) = encoder(images)
    with pytest.raises(ValueError, match="target 'mlp' cannot be merged.*'fc1' and 'fc2'"):
        encoder.merge()
    assert torch.equal(encoder(images)[0], want)
