"""Each rival of ICA: what it trains, where it starts, and that the rest stays as it was."""

import copy
import importlib.util
import sys

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from dva_mm.engine.optim import TrainableOptimWrapperConstructor
from dva_mm.models import FrozenViT
from dva_mm.models.hosts import build_timm_host
from dva_mm.models.tuning import TUNINGS, apply_tuning, resolve_tuning

OPTIONS = {
    'Full': {},
    'BitFit': {},
    'LoRA': dict(rank=2),
    'VPTShallow': dict(num_tokens=3),
    'VPTDeep': dict(num_tokens=3),
    'AdaptFormer': dict(bottleneck=5),
}
needs_peft = pytest.mark.skipif(importlib.util.find_spec('peft') is None, reason='needs peft')
PROMPTS = ('VPTShallow', 'VPTDeep')


def names(*wanted):
    return [pytest.param(n, marks=needs_peft) if n == 'LoRA' else n for n in wanted]


every_tuning = pytest.mark.parametrize('name', names(*OPTIONS))


def config(name):
    return dict(type=name, **OPTIONS[name])


@pytest.fixture
def build(arch, save_weights, randomised):
    """Encoders on one file of 'pre-trained' weights."""
    plain = FrozenViT(arch, pretrained=False, img_size=32, ica=None)
    file = save_weights(randomised(plain.host.state_dict()))

    def build(name=None, **options):
        tuning = None if name is None else config(name)
        return FrozenViT(arch, file, **{'img_size': 32, 'ica': None, 'tuning': tuning, **options})

    return build


def trainable(module):
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def perturb(encoder):
    """Stand-in for training: move all that trains."""
    with torch.no_grad():
        for parameter in trainable(encoder).values():
            parameter.add_(0.3 * torch.randn_like(parameter))


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def loss(encoder, images):
    direction = torch.linspace(-1, 1, encoder.embed_dims)
    return (encoder(images)[0] @ direction).square().mean()


def counts(encoder):
    """Parameters that train in a ViT of L blocks, width C, MLP width H, N patches of side P."""
    width, blocks, side = encoder.embed_dims, len(encoder.blocks), encoder._info.patch_size
    hidden = 192 if width == 64 else 64
    patches = (32 // side) ** 2
    linears = (width * 3 * width) + width * width + 2 * width * hidden
    biases = (3 * width + width + hidden + width) + 2 * width  # four Linears, two norms
    norms = 2 * width
    return {
        'Full': (3 * side * side + 1) * width  # patch embedding
        + width  # class token
        + (patches + 1) * width  # positions
        + blocks * (linears + biases + norms)
        + 2 * width,  # final norm
        'BitFit': width + blocks * biases + width,
        'LoRA': blocks * (2 * width + 3 * width * 2),
        'VPTShallow': 3 * width,
        'VPTDeep': blocks * 3 * width,
        'AdaptFormer': blocks * ((width * 5 + 5) + (5 * width + width)),
    }


def test_every_tuning_is_tested():
    assert list(TUNINGS) == list(OPTIONS)


@every_tuning
def test_exactly_the_expected_parameters_train(build, name):
    encoder, base = build(name), build()
    trains = trainable(encoder)
    assert sum(p.numel() for p in trains.values()) == counts(encoder)[name]
    added = set(encoder.state_dict()) - set(base.state_dict())
    if name == 'Full':
        assert set(trains) == set(base.state_dict()) and not added
    elif name == 'BitFit':
        assert set(trains) == {n for n in base.state_dict() if n.endswith('.bias')} and not added
    elif name == 'LoRA':  # peft names the frozen Linear 'base_layer'
        assert set(trains) == {n for n in added if '.base_layer.' not in n}
    else:
        assert set(trains) == added
    assert set(encoder.base_names()) == set(encoder.state_dict()) - set(trains)
    per_block = {'LoRA': 2, 'VPTDeep': 1, 'AdaptFormer': 4}
    if name in per_block:
        assert len(trains) == per_block[name] * len(encoder.blocks)


@every_tuning
@pytest.mark.parametrize('pooling', ['cls', 'avg'])
def test_the_start_is_that_of_the_pre_trained_encoder(build, images, name, pooling):
    (want,) = build(pooling=pooling)(images)
    (got,) = build(name, pooling=pooling).eval()(images)
    assert torch.equal(got, want) == (name not in PROMPTS)  # prompts are random at the start


@every_tuning
def test_gradients_reach_all_that_trains_and_nothing_else(build, images, name):
    encoder = build(name).train()
    perturb(encoder)
    loss(encoder, images).backward()
    with_gradient = {n for n, p in encoder.named_parameters() if p.grad is not None}
    assert with_gradient == set(trainable(encoder))
    assert all(p.grad.any() for p in trainable(encoder).values())


@every_tuning
def test_optimiser_steps_move_all_that_trains_and_nothing_else(build, images, name):
    encoder = build(name).train()
    wrapper = TrainableOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, weight_decay=0.1))
    )(encoder)
    before = snapshot(encoder)
    for _ in range(3):  # down-projections get a gradient once the up-projections have moved
        wrapper.update_params(loss(encoder, images))
    after = encoder.state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved == set(trainable(encoder))
    assert not moved & set(encoder.base_names())


@every_tuning
def test_random_parts_of_the_host_run_in_full_fine_tuning_alone(mmpretrain_arch, images, name):
    def outputs():
        return [encoder(images)[0] for _ in range(2)]

    encoder = FrozenViT(mmpretrain_arch, False, 32, ica=None, tuning=config(name))
    assert encoder.training
    assert encoder.host.training == (name == 'Full')
    assert torch.equal(*outputs()) == (name != 'Full')
    assert encoder.eval() is encoder
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(*outputs())
    assert encoder.train().host.training == (name == 'Full')


@pytest.mark.parametrize('name', names('LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer'))
def test_dropout_of_what_is_added_runs_in_training_alone(build, images, name):
    encoder = build(tuning={**config(name), 'dropout': 0.5})
    perturb(encoder)
    assert not torch.equal(encoder(images)[0], encoder(images)[0])
    assert not encoder.host.training
    encoder.eval()
    assert torch.equal(encoder(images)[0], encoder(images)[0])
    without = build(name)
    without.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(images)[0], without(images)[0])


@every_tuning
def test_initialisation_by_a_parent_keeps_the_pre_trained_weights(build, images, name):
    init_cfg = dict(type='TruncNormal', layer=['Linear', 'LayerNorm', 'LN'], std=1.0, bias=2.0)
    parent = BaseModule(init_cfg)
    parent.backbone = encoder = build(name)
    base = build()
    info = encoder.encoder_info()
    perturb(encoder)
    parent.init_weights()
    assert encoder.encoder_info() == info
    assert encoder._hash_base() == info['fingerprint'] == base.encoder_info()['fingerprint']
    (got,), (want,) = encoder.eval()(images), base(images)
    if name in PROMPTS:
        bound = encoder.blocks[0].prompts.bound
        assert all(p.abs().max() <= bound for p in trainable(encoder).values())
        wanted = snapshot(base)
        assert all(torch.equal(encoder.state_dict()[n], wanted[n]) for n in encoder.base_names())
    else:
        assert torch.equal(got, want)
    if name == 'LoRA':
        drawn = [p for n, p in trainable(encoder).items() if 'lora_A' in n]
    elif name == 'AdaptFormer':
        drawn = [p for n, p in trainable(encoder).items() if 'down.weight' in n]
    else:
        drawn = []
    assert len(drawn) == (len(encoder.blocks) if name in ('LoRA', 'AdaptFormer') else 0)
    # Uniform within 1 / sqrt(C): neither the parent's values nor zero.
    assert all(0 < p.abs().max() <= encoder.embed_dims**-0.5 for p in drawn)


@every_tuning
def test_the_fingerprint_is_that_of_the_pre_trained_weights(build, name):
    encoder = build(name)
    info, base = encoder.encoder_info(), build().encoder_info()
    assert info.pop('tuning') == resolve_tuning(config(name)) and base.pop('tuning') is None
    assert info == base
    perturb(encoder)
    assert encoder.encoder_info()['fingerprint'] == base['fingerprint']


@every_tuning
def test_a_deep_copy_stands_alone(build, images, name):
    encoder = build(name)
    perturb(encoder)
    clone = copy.deepcopy(encoder).train()
    encoder.eval()
    (before,) = encoder(images)
    assert torch.equal(copy.deepcopy(encoder)(images)[0], before)
    loss(clone, images).backward()
    assert all(p.grad is not None for p in trainable(clone).values())
    assert all(p.grad is None for p in encoder.parameters())
    perturb(clone)
    assert torch.equal(encoder(images)[0], before)
    (moved,) = clone.eval()(images)
    assert not torch.allclose(moved, before, atol=1e-3)
    clone.init_weights()
    assert torch.equal(encoder(images)[0], before)
    assert not torch.equal(clone(images)[0], moved)


@every_tuning
def test_a_state_dict_goes_round(build, images, name):
    encoder, fresh = build(name).eval(), build(name).eval()
    perturb(encoder)
    assert not torch.equal(fresh(images)[0], encoder(images)[0])
    assert fresh.load_state_dict(snapshot(encoder), strict=True)
    assert torch.equal(fresh(images)[0], encoder(images)[0])


@pytest.mark.parametrize(
    ('name', 'count', 'share'),
    [
        ('Full', 85_798_656, '100.000%'),
        ('BitFit', 102_912, '0.120%'),
        pytest.param('LoRA', 12 * (768 * 8 + 8 * 2304), '0.343%', marks=needs_peft),
        ('VPTShallow', 10 * 768, '0.009%'),
        ('VPTDeep', 12 * 10 * 768, '0.107%'),
        ('AdaptFormer', 12 * (768 * 64 + 64 + 64 * 768 + 768), '1.368%'),
    ],
)
def test_trainable_parameters_of_vit_base(name, count, share):
    with torch.device('meta'):
        host = build_timm_host('vit_base_patch16_224.augreg_in21k', False, None, 'cls')
        host.vit.requires_grad_(False)
        apply_tuning(host, resolve_tuning(dict(type=name)))  # with the defaults
    trained = sum(p.numel() for p in trainable(host.vit).values())
    assert trained == count
    assert f'{trained / sum(p.numel() for p in host.vit.parameters()):.3%}' == share


@needs_peft
@pytest.mark.parametrize('target', ['qkv', 'attn.proj'])
def test_lora_adds_its_product_to_the_chosen_layers(build, target):
    base = build()
    encoder = build(tuning=dict(type='LoRA', rank=2, alpha=3, target_modules=[target])).eval()
    perturb(encoder)
    part = target.split('.')[-1]
    for block, plain in zip(encoder.blocks, base.blocks, strict=True):
        layer = getattr(block.attn, part)
        down, up = layer.lora_A.default.weight, layer.lora_B.default.weight
        assert down.shape == (2, encoder.embed_dims)
        x = torch.randn(2, 5, encoder.embed_dims)
        want = getattr(plain.attn, part)(x) + 3 / 2 * (x @ down.T @ up.T)
        torch.testing.assert_close(layer(x), want, rtol=1e-4, atol=1e-5)
    adapted = {n.split('.lora_')[0].split('.attn.')[1] for n in trainable(encoder)}
    assert adapted == {part}


def test_bitfit_takes_vectors_alone_and_those_of_every_norm(build):
    encoder = build('BitFit')
    assert all(p.dim() == 1 for p in trainable(encoder).values())
    norms = [n for n, m in encoder.named_modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 2 * len(encoder.blocks) + 1
    assert all(f'{n}.bias' in trainable(encoder) for n in norms)


def test_lora_without_peft_names_the_remedy(build, monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match=r'needs peft: pip install "dva_mm\[baselines\]"'):
        build('LoRA')


@pytest.mark.parametrize(
    ('tuning', 'message'),
    [
        (dict(type='Prefix'), r"type is one of \['Full', 'BitFit'.*got \{'type': 'Prefix'\}"),
        (dict(rank=2), r"type is one of .*got \{'rank': 2\}"),
        ('BitFit', r"must be a dict .*got 'BitFit'"),
        (dict(type='Full', rank=2), r"type='Full' has no option \['rank'\]; its options are \[\]"),
        (
            dict(type='LoRA', r=2),
            r"no option \['r'\].*\['rank', 'alpha', 'dropout', 'target_modules'\]",
        ),
        (dict(type='VPTDeep', host=2), r"no option \['host'\].*\['num_tokens', 'dropout'\]"),
        (dict(type='LoRA', rank=0), 'LoRA rank must be a positive integer, got 0'),
        (dict(type='LoRA', dropout=1.0), 'LoRA dropout must be at least 0 and below 1, got 1.0'),
        (
            dict(type='LoRA', target_modules=['qkv', 'kv']),
            r"got \['qkv', 'kv'\]; the layers of a block are \['attn.qkv', 'attn.proj', ",
        ),
        (dict(type='LoRA', target_modules=[]), r'got \[\]'),
        (dict(type='LoRA', target_modules='qkv'), "must be a list of layers of .*got 'qkv'"),
        (dict(type='VPTShallow', num_tokens=1.5), 'VPTShallow num_tokens must be .* got 1.5'),
        (dict(type='VPTDeep', num_tokens=0), 'VPTDeep num_tokens must be a positive'),
        (dict(type='VPTShallow', dropout=-0.1), 'VPTShallow dropout must be at least 0'),
        (dict(type='VPTDeep', dropout=-0.1), 'VPTDeep dropout must be at least 0'),
        (dict(type='AdaptFormer', bottleneck=-1), 'AdaptFormer bottleneck must be a positive'),
        (dict(type='AdaptFormer', dropout=2), 'AdaptFormer dropout must be at least 0'),
    ],
)
def test_mistakes_are_named(arch, tuning, message):
    with pytest.raises(ValueError, match=message):
        FrozenViT(arch, False, 32, ica=None, tuning=tuning)


def test_ica_and_a_tuning_exclude_each_other():
    with pytest.raises(ValueError, match=r"ica=\{'rank': 16\}.*BitFit.*model\.backbone\.ica=None"):
        FrozenViT('test_vit', False, 32, tuning=dict(type='BitFit'))


@pytest.mark.parametrize('name', [None, *names(*OPTIONS)])
def test_merging_is_for_ica_alone(arch, images, name):
    tuning = None if name is None else config(name)
    encoder = FrozenViT(arch, False, 32, ica=None, tuning=tuning)
    with pytest.raises(ValueError, match=r'merge\(\) folds the adapters of ICA; .* has none'):
        encoder.merge()
    assert not encoder.merged


def test_all_options_are_resolved_to_plain_values():
    assert resolve_tuning(dict(type='LoRA', target_modules=('qkv', 'proj'))) == dict(
        type='LoRA', rank=8, alpha=16, dropout=0.0, target_modules=['qkv', 'proj']
    )
    assert resolve_tuning(dict(type='AdaptFormer', scale=0.2)) == dict(
        type='AdaptFormer', bottleneck=64, scale=0.2, dropout=0.0
    )
    given = dict(type='Full')
    assert resolve_tuning(given) == given == dict(type='Full')
