import pytest
import torch
from reference_vit import after_attention, after_mlp, build, embedded, expected_embedding

from dva_mm.models import FrozenViT


@pytest.mark.parametrize('pooling', ['cls', 'avg'])
def test_adaptformer_equals_the_blocks_written_out(arch, images, pooling):
    if isinstance(arch, dict):
        arch['layer_scale_init_value'] = 0.5
    encoder = build(arch, dict(type='AdaptFormer', bottleneck=5, scale=0.3), pooling)
    host = encoder.host
    x = embedded(host, images)
    for block in encoder.blocks:
        x = after_mlp(block, after_attention(block, x), block.adapt_mlp)
    tokens = host.norm(x) if isinstance(arch, str) else host.ln1(x)
    want = expected_embedding(encoder, tokens, pooling)
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)


def test_the_branch_lies_within_layer_scale_in_timm_too():
    encoder = build('test_vit2', dict(type='AdaptFormer', bottleneck=4), 'avg')
    block, x = encoder.blocks[0], torch.randn(2, 3, encoder.embed_dims)
    assert type(block.ls2).__name__ == 'LayerScale'
    want = after_mlp(block, after_attention(block, x), block.adapt_mlp)
    torch.testing.assert_close(block(x), want, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(block(x), after_mlp(block, after_attention(block, x)), atol=1e-3)


def test_adaptformer_refuses_swiglu(mmpretrain_arch):
    mmpretrain_arch['layer_cfgs'] = dict(ffn_type='swiglu_fused')
    with pytest.raises(ValueError, match='SwiGLUFFNFused'):
        FrozenViT(mmpretrain_arch, False, 32, tuning=dict(type='AdaptFormer'))
