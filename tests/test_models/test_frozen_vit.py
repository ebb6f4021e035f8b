import pytest
import timm
import torch
import torch.nn as nn
from conftest import FAMILIES
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from dva_mm.engine.optim import TrainableOptimWrapperConstructor
from dva_mm.models import ICALinear


def build(arch, **options):
    """A FrozenViT at 32 pixels, random unless a file is named."""
    config = {'pretrained': False, 'img_size': 32, **options}
    return MODELS.build(dict(type='FrozenViT', arch=arch, **config))


def plain_host(arch):
    """The host as its own library builds it, giving its class token."""
    if isinstance(arch, str):
        return timm.create_model(arch, img_size=32, num_classes=0).eval()
    host = MODELS.build(arch)
    host.train(False)
    return host


def base_state(encoder):
    """The frozen tensors, under the host's own names."""
    state = encoder.state_dict()
    return {name.removeprefix('host.'): state[name].clone() for name in encoder.base_names()}


def adapters(encoder):
    return [module for module in encoder.modules() if isinstance(module, ICALinear)]


def train_adapters(encoder):
    """Move the up-projections off zero."""
    for adapter in adapters(encoder):
        nn.init.normal_(adapter.q_up.weight, std=0.5)
        nn.init.normal_(adapter.k_up.weight, std=0.5)


def retriever(arch, pretrained=False, init_cfg=None):
    backbone = dict(
        type='FrozenViT', arch=arch, img_size=32, pretrained=pretrained, tuning=dict(type='ICA')
    )
    head = dict(type='DVAHead', num_classes=3)
    return MODELS.build(dict(type='DVARetriever', backbone=backbone, head=head, init_cfg=init_cfg))


def training_losses(model, images):
    samples = [DataSample().set_gt_label(label) for label in range(len(images))]
    views = [images, images.flip(-1), images.roll(3, dims=-1)]
    return model.parse_losses(model(views, samples, mode='loss'))[0]


def test_the_start_is_bit_identical_to_the_plain_host(arch, images):
    encoder = build(arch)
    host = plain_host(arch)
    host.load_state_dict(base_state(encoder), strict=True)
    want = host(images)
    (got,) = encoder(images)
    assert torch.equal(got, want if isinstance(arch, str) else want[0])
    train_adapters(encoder)
    assert not torch.equal(encoder(images)[0], got)


def test_base_keys_keep_their_names(arch):
    adapted, bare = build(arch), build(arch, tuning=None)
    assert set(adapted.base_names()) == set(bare.state_dict())
    added = set(adapted.state_dict()) - set(bare.state_dict())
    assert len(added) == 4 * len(adapted.blocks)
    assert all('.attn.qkv.' in name for name in added)


def test_the_fingerprint_follows_random_weights_through_initialisation(arch, save_weights):
    model = retriever(arch, init_cfg=dict(type='TruncNormal', layer='Linear'))
    model.init_weights()
    file = save_weights(base_state(model.backbone))
    assert build(arch, pretrained=file).encoder_info() == model.backbone.encoder_info()


def test_optimiser_steps_move_adapters_and_proxies_alone(arch, images):
    model = retriever(arch).train()
    wrapper = TrainableOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, weight_decay=0.1))
    )(model)
    names = {n for n, _ in model.named_parameters() if '_down.' in n or '_up.' in n}
    assert len(names) == 4 * len(model.backbone.blocks)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(3):  # down-projections get a gradient once the up-projections have moved
        wrapper.update_params(training_losses(model, images))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == names | {'head.proxies'}


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
        train_adapters(encoder)
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=saved: (s.append(1), t)[1], id):
            encoder(images)
        held.append(len(saved))
        encoder(images)[0].square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    assert held[1] < held[0] / 2
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_average_pooling_takes_the_patch_tokens(arch, images):
    encoder = build(arch, pooling='avg')
    (embeddings,) = encoder(images)
    host = encoder.host
    tokens = host.forward_features(images) if isinstance(arch, str) else host(images)[-1]
    patches = 4 if isinstance(arch, str) else 16
    assert tokens.shape[1] == patches + 1
    torch.testing.assert_close(embeddings, sum(tokens[:, 1 + i] for i in range(patches)) / patches)


def test_attention_pooling_sees_no_prompts(tiny_vit, images):
    encoder = build(tiny_vit('siglip'), pooling='map', tuning=dict(type='VPTShallow', num_tokens=3))
    tokens = encoder.host.forward_features(images)
    assert tokens.shape[1] == 3 + 4
    assert torch.equal(encoder(images)[0], encoder.host.attn_pool(tokens[:, 3:]))


def test_encoder_info_names_the_encoder(arch):
    info = build(arch).encoder_info()
    fingerprint = info.pop('fingerprint')
    assert len(fingerprint) == 32
    mmpretrain = 'embed_dims=32,feedforward_channels=64,num_heads=2,num_layers=3'
    assert info == dict(
        name='test_vit' if isinstance(arch, str) else f'mmpretrain.VisionTransformer({mmpretrain})',
        img_size=32,
        patch_size=16 if isinstance(arch, str) else 8,
        embed_dims=64 if isinstance(arch, str) else 32,
        num_blocks=6 if isinstance(arch, str) else 3,
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


@pytest.mark.parametrize('family', FAMILIES)
def test_the_host_is_frozen_in_every_family(family, tiny_vit):
    pooling = 'map' if family in ('siglip', 'pe') else 'cls'
    encoder = build(tiny_vit(family), pooling=pooling)
    trains = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert len(trains) == 4 * len(encoder.blocks) and not trains & set(encoder.base_names())


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(pooling='max'), ['pooling', "'max'"]),
        (dict(pretrained=None), ['pretrained', 'None']),
        (dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth')), ['a.pth', 'pretrained']),
        (dict(init_cfg=[dict(type='Pretrained', checkpoint='a.pth')]), ['a.pth', 'pretrained']),
    ],
)
def test_mistakes_are_named(arch, options, words):
    with pytest.raises(ValueError) as error:
        build(arch, **options)
    assert all(word in str(error.value) for word in words)


def test_a_missing_file_is_named_with_the_remedy(arch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.pth.*model\.backbone\.pretrained'):
        build(arch, pretrained=str(tmp_path / 'absent.pth'))
