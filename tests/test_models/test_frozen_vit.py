import pytest
import timm
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from dva_mm.engine.optim import TrainableOptimWrapperConstructor
from dva_mm.models import FrozenViT, ICALinear


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


def train_adapters(encoder):
    """Move the up-projections off zero."""
    for adapter in encoder.adapters:
        nn.init.normal_(adapter.q_up.weight, std=0.5)
        nn.init.normal_(adapter.k_up.weight, std=0.5)


def retriever(arch, pretrained=False, init_cfg=None, **options):
    backbone = dict(
        type='FrozenViT', arch=arch, img_size=32, pretrained=pretrained, ica=dict(rank=2), **options
    )
    head = dict(type='DVAHead', num_classes=3)
    return MODELS.build(dict(type='DVARetriever', backbone=backbone, head=head, init_cfg=init_cfg))


def training_losses(model, images):
    samples = [DataSample().set_gt_label(label) for label in range(len(images))]
    views = [images, images.flip(-1), images.roll(3, dims=-1)]
    return model.parse_losses(model(views, samples, mode='loss'))[0]


def trainable_names(model):
    return {n for n, p in model.named_parameters() if '_down.' in n or '_up.' in n} | {
        'head.proxies'
    }


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
    adapted, bare = build(arch), build(arch, ica=None)
    assert set(adapted.base_names()) == set(bare.state_dict())
    added = set(adapted.state_dict()) - set(bare.state_dict())
    assert len(added) == 4 * len(adapted.blocks)
    assert all('.attn.qkv.' in name for name in added)


def test_a_parents_init_cfg_alters_neither_frozen_weights_nor_the_start(
    arch, images, save_weights, randomised
):
    file = save_weights(randomised(base_state(build(arch))))
    init_cfg = dict(type='TruncNormal', layer=['Linear', 'LayerNorm', 'LN'], std=1.0, bias=2.0)
    model = retriever(arch, pretrained=file, init_cfg=init_cfg)
    encoder = model.backbone
    before, (want,) = base_state(encoder), encoder(images)
    model.init_weights()
    for name, tensor in base_state(encoder).items():
        assert torch.equal(tensor, before[name]), name
    assert all(not a.q_up.weight.any() and not a.k_up.weight.any() for a in encoder.adapters)
    assert all(a.q_down.weight.any() and a.k_down.weight.any() for a in encoder.adapters)
    assert torch.equal(encoder(images)[0], want)
    assert not any(p.requires_grad for n, p in encoder.named_parameters() if 'host.' + n in before)


def test_the_fingerprint_follows_random_weights_through_initialisation(arch, save_weights):
    model = retriever(arch, init_cfg=dict(type='TruncNormal', layer='Linear'))
    model.init_weights()
    file = save_weights(base_state(model.backbone))
    info = model.backbone.encoder_info()
    assert build(arch, pretrained=file).encoder_info() == info


def test_gradients_reach_adapters_and_proxies_alone(arch, images):
    model = retriever(arch)
    train_adapters(model.backbone)
    training_losses(model, images).backward()
    expected = trainable_names(model)
    assert len(expected) == 4 * len(model.backbone.blocks) + 1
    assert {n for n, p in model.named_parameters() if p.requires_grad} == expected
    assert {n for n, p in model.named_parameters() if p.grad is not None} == expected
    assert all(p.grad.any() for n, p in model.named_parameters() if n in expected)


def test_optimiser_steps_move_adapters_and_proxies_alone(arch, images):
    model = retriever(arch).train()
    wrapper = TrainableOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, weight_decay=0.1))
    )(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(3):  # down-projections get a gradient once the up-projections have moved
        wrapper.update_params(training_losses(model, images))
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == trainable_names(model)


def test_dropout_and_drop_path_stay_off_under_train(mmpretrain_arch, images):
    encoder = build(mmpretrain_arch)
    encoder.eval()
    (want,) = encoder(images)
    assert encoder.train() is encoder
    assert encoder.training and not any(module.training for module in encoder.host.modules())
    assert all(torch.equal(encoder(images)[0], want) for _ in range(2))
    encoder.host.train()  # the host does have random parts
    assert not torch.equal(encoder(images)[0], want)


def test_blocks_below_the_first_adapted_one_build_no_graph(arch, images):
    encoder = build(arch, ica=dict(layers=[-2]))
    graph = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda _m, _i, out: graph.append(out.requires_grad))
    encoder(images)
    assert graph == [False] * (len(graph) - 2) + [True, True]
    assert [isinstance(b.attn.qkv, ICALinear) for b in encoder.blocks[-3:]] == [False, True, False]


def test_vit_base_trains_the_papers_share_of_parameters():
    encoder = FrozenViT('vit_base_patch16_224.augreg_in21k', pretrained=False)
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    total = sum(p.numel() for p in encoder.parameters())
    assert trained == 589_824
    assert total == 85_798_656 + 589_824
    assert f'{trained / total:.3%}' == '0.683%'


def test_merge_keeps_embeddings_and_leaves_plain_linears(arch, images):
    encoder = build(arch, ica=dict(rank=2, act=None, scale=0.7, layers=[0, -1]))
    train_adapters(encoder)
    frozen = plain_host(arch)
    frozen.load_state_dict(base_state(encoder), strict=True)
    (want,) = encoder(images)
    encoder.merge()
    (got,) = encoder(images)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    assert all(type(block.attn.qkv) is nn.Linear for block in encoder.blocks)
    assert encoder.adapters == [] and not any(p.requires_grad for p in encoder.parameters())
    frozen.load_state_dict(base_state(encoder), strict=True)  # no key was lost or added
    assert set(encoder.state_dict()) == set(encoder.base_names())
    output = frozen(images)
    torch.testing.assert_close(output if isinstance(arch, str) else output[0], got)


def test_merge_is_refused_with_an_activation(images):
    encoder = build('test_vit')
    train_adapters(encoder)
    (want,) = encoder(images)
    with pytest.raises(ValueError, match=r"'GELU'.*act=None"):
        encoder.merge()
    assert len(encoder.adapters) == 6 and torch.equal(encoder(images)[0], want)


def test_average_pooling_takes_the_patch_tokens(arch, images):
    encoder = build(arch, pooling='avg')
    (embeddings,) = encoder(images)
    host = encoder.host
    tokens = host.forward_features(images) if isinstance(arch, str) else host(images)[-1]
    patches = 4 if isinstance(arch, str) else 16
    assert tokens.shape[1] == patches + 1
    torch.testing.assert_close(embeddings, sum(tokens[:, 1 + i] for i in range(patches)) / patches)


def test_average_pooling_of_a_host_that_was_trained_on_it(images):
    """Register tokens are left out and the host's own norm on the average is applied."""
    encoder = build('test_vit2', pooling='avg')
    nn.init.normal_(encoder.host.fc_norm.weight)
    torch.testing.assert_close(encoder(images)[0], encoder.host(images))


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
        tuning=None,
    )


def test_the_fingerprint_is_that_of_the_frozen_weights_alone(arch, save_weights):
    state = base_state(build(arch))

    def fingerprint(weights, **options):
        file = save_weights(weights)
        return build(arch, pretrained=file, **options).encoder_info()['fingerprint']

    same = fingerprint(state)
    assert fingerprint(state, ica=dict(rank=3, act=None)) == same
    assert fingerprint(state, ica=None) == same
    names = [name for name in state if name != 'pos_embed']
    for name in (names[0], names[len(names) // 2], names[-1]):
        changed = {key: tensor.clone() for key, tensor in state.items()}
        changed[name].view(-1)[-1] += 1e-3
        assert fingerprint(changed) != same, name
    assert fingerprint(state, img_size=64) != same


def test_training_the_adapters_keeps_the_fingerprint():
    encoder = build('test_vit')
    before = encoder.encoder_info()
    train_adapters(encoder)
    assert encoder.encoder_info() == before
    assert encoder._hash_base() == before['fingerprint']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(pooling='max'), "'cls' or 'avg', got 'max'"),
        (dict(pretrained=None), 'pretrained must be True, False or a file, got None'),
    ],
)
def test_mistakes_are_named(arch, options, message):
    with pytest.raises(ValueError, match=message):
        build(arch, **options)


def test_a_missing_file_is_named_with_the_remedy(arch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'absent\.pth.*model\.backbone\.pretrained'):
        build(arch, pretrained=str(tmp_path / 'absent.pth'))
