import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from dva_mm.models import ICALinear


def build(arch, **options):
    """A FrozenViT at 32 pixels, random unless a file is named."""
    config = {'pretrained': False, 'img_size': 32, **options}
    return MODELS.build(dict(type='FrozenViT', arch=arch, **config))


def base_state(encoder):
    """The frozen tensors, under the host's own names."""
    state = encoder.state_dict()
    return {name.removeprefix('host.'): state[name].clone() for name in encoder.base_names()}


def test_the_fingerprint_follows_random_weights_through_initialisation(arch, save_weights):
    parent = BaseModule(dict(type='TruncNormal', layer='Linear'))
    parent.backbone = encoder = build(arch)
    parent.init_weights()
    file = save_weights(base_state(encoder))
    assert build(arch, pretrained=file).encoder_info() == encoder.encoder_info()


def test_blocks_below_the_first_adapted_one_build_no_graph(arch, images):
    encoder = build(arch, tuning=dict(type='ICA', layers=[-2]))
    graph = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda _m, _i, out: graph.append(out.requires_grad))
    encoder(images)
    assert graph == [False] * (len(graph) - 2) + [True, True]
    assert [isinstance(b.attn.qkv, ICALinear) for b in encoder.blocks[-3:]] == [False, True, False]


@pytest.mark.parametrize('tuning', ['ICA', 'VPTDeep', 'Full'])
@pytest.mark.parametrize('family', ['vit', 'dinov3', 'rope'])
def test_checkpointing_changes_no_gradient(family, tuning, tiny_vit):
    """And holds fewer tensors for the backward pass."""
    images, gradients, held = torch.randn(2, 3, 32, 32), [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        options = dict(tuning=dict(type=tuning), grad_checkpointing=checkpointing)
        encoder = build(tiny_vit(family), **options)
        for name, parameter in encoder.named_parameters():
            if '_up.' in name:
                nn.init.normal_(parameter, std=0.5)
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=saved: (s.append(1), t)[1], id):
            encoder(images)
        held.append(len(saved))
        encoder(images)[0].square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    assert held[1] < held[0] / 2
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_pooling_sees_no_prompts(tiny_vit, images):
    encoder = build(tiny_vit('siglip'), pooling='map', tuning=dict(type='VPTShallow', num_tokens=3))
    tokens = encoder.host.forward_features(images)
    assert tokens.shape[1] == 3 + 4
    assert torch.equal(encoder(images)[0], encoder.host.attn_pool(tokens[:, 3:]))


def test_encoder_info_names_the_encoder(arch):
    info = build(arch).encoder_info()
    assert len(info.pop('fingerprint')) == 32
    mmpretrain = 'embed_dims=32,feedforward_channels=64,num_heads=2,num_layers=3'
    measures = (f'mmpretrain.VisionTransformer({mmpretrain})', 8, 32, 3)
    if isinstance(arch, str):
        measures = ('test_vit', 16, 64, 6)
    assert info == dict(
        **dict(zip(('name', 'patch_size', 'embed_dims', 'num_blocks'), measures, strict=True)),
        img_size=32,
        pooling='cls',
        tuning=dict(type='ICA', rank=16, act='GELU', scale=1.0, layers=None, targets=['q', 'k']),
    )


def test_the_fingerprint_is_that_of_the_frozen_weights_alone(arch, save_weights):
    state = base_state(build(arch))

    def fingerprint(weights, **options):
        file = save_weights(weights)
        return build(arch, pretrained=file, **options).encoder_info()['fingerprint']

    same = fingerprint(state)
    assert fingerprint(state, tuning=dict(type='ICA', rank=3, act=None)) == same
    assert fingerprint(state, tuning=None) == same
    names = [name for name in state if name != 'pos_embed']
    for name in (names[0], names[len(names) // 2], names[-1]):
        changed = {key: tensor.clone() for key, tensor in state.items()}
        changed[name].view(-1)[-1] += 1e-3
        assert fingerprint(changed) != same, name
    assert fingerprint(state, img_size=64) != same


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(pooling='max'), ['pooling', "'max'"]),
        (dict(pretrained=None), ['pretrained', 'None']),
        (dict(pretrained='absent.pth'), ['absent.pth', 'model.backbone.pretrained']),
        (dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth')), ['a.pth', 'pretrained']),
        (dict(init_cfg=[dict(type='Pretrained', checkpoint='a.pth')]), ['a.pth', 'pretrained']),
    ],
)
def test_mistakes_are_named(arch, options, words):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        build(arch, **options)
    assert all(word in str(error.value) for word in words)
    assert isinstance(error.value, FileNotFoundError) == ('absent.pth' in words)
