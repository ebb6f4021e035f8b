"""What holds for each way of tuning: what trains, where it starts, and that the rest stays."""

import copy
import importlib.util

import pytest
import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from tiny_vits import FAMILIES

from dva_mm.engine.checkpoint import check_encoder
from dva_mm.engine.optim import TrainableOptimWrapperConstructor
from dva_mm.models import FrozenViT, Tuning
from dva_mm.models.timm_vit import build_timm_vit
from dva_mm.models.tuning import build_tuning

OPTIONS = {
    'ICA': dict(rank=2),
    'Full': {},
    'BitFit': {},
    'LoRA': dict(rank=2),
    'VPTShallow': dict(num_tokens=3),
    'VPTDeep': dict(num_tokens=3),
    'PromptedICA': dict(num_tokens=3, rank=2),
    'AdaptFormer': dict(bottleneck=5),
    'FirstNorm': dict(factor=0.5),
}
PROMPTS = ('VPTShallow', 'VPTDeep', 'PromptedICA')


@MODELS.register_module()
class FirstNorm(Tuning):
    """A way of tuning as another project would add it: a gain after the first block."""

    def __init__(self, factor: float, shift: bool = True) -> None:
        self.factor, self.shift = factor, shift

    def apply(self, vit):
        gain = vit.blocks[0].gain = Gain()
        gain.weight, gain.factor = nn.Parameter(torch.zeros(vit.embed_dims)), self.factor
        vit.blocks[0].register_forward_hook(gain.after_block)
        return [gain]


class Gain(nn.Module):
    def reset(self) -> None:
        nn.init.zeros_(self.weight)

    def after_block(self, block: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        return output + self.factor * self.weight * output


def tunings(*names):
    lacks = importlib.util.find_spec('peft') is None
    skip = pytest.mark.skipif(lacks, reason='needs peft')
    values = [pytest.param(n, marks=skip) if n == 'LoRA' else n for n in names]
    return pytest.mark.parametrize('name', values)


every_tuning = tunings(*OPTIONS)


def config(name):
    return dict(type=name, **OPTIONS[name])


@pytest.fixture
def build(arch, save_weights, randomised):
    """Encoders on one file of 'pre-trained' weights."""
    plain = FrozenViT(arch, pretrained=False, img_size=32, tuning=None)
    file = save_weights(randomised(plain.host.state_dict()))

    def build(name=None, **options):
        tuning = None if name is None else config(name)
        return FrozenViT(arch, file, **{'img_size': 32, 'tuning': tuning, **options})

    return build


def trainable(module):
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def perturb(encoder):
    """Stand-in for training: move all that trains."""
    with torch.no_grad():
        for parameter in trainable(encoder).values():
            parameter.add_(0.3 * torch.randn_like(parameter))


def loss(encoder, images):
    direction = torch.linspace(-1, 1, encoder.embed_dims)
    return (encoder(images)[0] @ direction).square().mean()


@every_tuning
@pytest.mark.parametrize('pooling', ['cls', 'avg', 'cls+avg'])
def test_the_start_and_what_trains(build, images, name, pooling):
    encoder, base = build(name, pooling=pooling), build(pooling=pooling)
    same = torch.equal(encoder.eval()(images)[0], base(images)[0])
    assert same == (name not in PROMPTS)  # prompts are random at the start
    trains = set(trainable(encoder))
    added = set(encoder.state_dict()) - set(base.state_dict())
    if name == 'Full':
        assert trains == set(base.state_dict()) and not added
    elif name == 'BitFit':
        assert trains == {n for n in base.state_dict() if n.endswith('.bias')} and not added
    else:  # peft names the frozen Linear 'base_layer'
        assert trains == {n for n in added if '.base_layer.' not in n}
    assert set(encoder.base_names()) == set(encoder.state_dict()) - trains
    assert not trainable(base) and set(base.base_names()) == set(base.state_dict())


@every_tuning
def test_gradients_and_steps_reach_all_that_trains_and_nothing_else(build, images, name):
    encoder = build(name).train()
    perturb(encoder)
    loss(encoder, images).backward()
    with_gradient = {n for n, p in encoder.named_parameters() if p.grad is not None}
    assert with_gradient == set(trainable(encoder))
    assert all(p.grad.any() for p in trainable(encoder).values())
    wrapper = TrainableOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2, weight_decay=0.1))
    )(encoder)
    before = copy.deepcopy(encoder.state_dict())
    wrapper.update_params(loss(encoder, images))
    after = encoder.state_dict()
    assert {n for n in before if not torch.equal(before[n], after[n])} == set(trainable(encoder))


POOLINGS = dict(siglip=('avg', 'map'), pe=('cls', 'avg', 'map'))


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('name', ['Full', 'ICA', 'VPTDeep', 'AdaptFormer'])
def test_every_family_starts_right_and_gives_all_that_trains_a_gradient(tiny_vit, name, family):
    """DistributedDataParallel fails on a parameter without gradient."""
    image = torch.randn(2, 3, 32, 48)
    for pooling in POOLINGS.get(family, ('cls', 'avg')):
        torch.manual_seed(0)
        base = FrozenViT(tiny_vit(family), False, (32, 48), pooling, tuning=None)
        torch.manual_seed(0)
        encoder = FrozenViT(tiny_vit(family), False, (32, 48), pooling, tuning=dict(type=name))
        if name != 'VPTDeep':
            assert torch.equal(encoder.eval()(image)[0], base(image)[0])
        perturb(encoder)
        assert not torch.equal(encoder(image)[0], base(image)[0])  # LayerScale may hide much
        loss(encoder.train(), image).backward()
        assert not [n for n, p in trainable(encoder).items() if p.grad is None]


@every_tuning
def test_random_parts_of_the_vit_run_in_full_fine_tuning_alone(mmpretrain_arch, images, name):
    encoder = FrozenViT(mmpretrain_arch, False, 32, tuning=config(name))
    assert encoder.training
    assert encoder.host.training == (name == 'Full')
    assert torch.equal(encoder(images)[0], encoder(images)[0]) == (name != 'Full')
    assert encoder.eval() is encoder
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(encoder(images)[0], encoder(images)[0])
    assert encoder.train().host.training == (name == 'Full')


@tunings('LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer')
def test_dropout_of_what_is_added_runs_in_training_alone(build, images, name):
    encoder = build(tuning={**config(name), 'dropout': 0.5})
    perturb(encoder)
    assert not torch.equal(encoder(images)[0], encoder(images)[0])
    assert not encoder.host.training
    encoder.eval()
    without = build(name)
    without.load_state_dict(encoder.state_dict(), strict=True)
    assert torch.equal(encoder(images)[0], without.eval()(images)[0])


@every_tuning
def test_initialisation_by_a_parent_restores_the_start(build, images, name):
    init_cfg = dict(type='TruncNormal', layer=['Linear', 'LayerNorm', 'LN'], std=1.0, bias=2.0)
    parent = BaseModule(init_cfg)
    parent.backbone = encoder = build(name)
    base, info = build(), encoder.encoder_info()
    perturb(encoder)
    assert encoder.encoder_info() == info
    parent.init_weights()
    assert encoder.encoder_info() == info
    present = {n.replace('.base_layer.', '.'): t for n, t in encoder.state_dict().items()}  # peft's
    assert all(torch.equal(present[n], tensor) for n, tensor in base.state_dict().items())
    if name not in PROMPTS:
        assert torch.equal(encoder.eval()(images)[0], base(images)[0])
    ends = ('down.weight', 'tokens', 'lora_A.default.weight')
    drawn = {n: p for n, p in trainable(encoder).items() if n.endswith(ends)}
    assert bool(drawn) == (name in ('ICA', 'LoRA', 'AdaptFormer', *PROMPTS))
    # Drawn anew in their narrow ranges: neither the parent's values nor zero.
    for of, weight in drawn.items():
        bound = encoder.embed_dims**-0.5
        if of.endswith('tokens'):
            bound = encoder.blocks[0].prompts.bound
        assert 0 < weight.abs().max() <= bound


@every_tuning
def test_a_deep_copy_stands_alone(build, images, name):
    encoder = build(name)
    perturb(encoder)
    clone = copy.deepcopy(encoder).train()
    encoder.eval()
    (before,) = encoder(images)
    loss(clone, images).backward()
    assert all(p.grad is not None for p in trainable(clone).values())
    assert all(p.grad is None for p in encoder.parameters())
    perturb(clone)
    (moved,) = clone.eval()(images)
    assert not torch.allclose(moved, before, atol=1e-3)
    clone.init_weights()
    assert torch.equal(encoder(images)[0], before)
    assert not torch.equal(clone(images)[0], moved)


SHARES = dict(  # with the defaults; ICA's are the paper's figure
    ICA=(589_824, '0.683%'),
    Full=(85_798_656, '100.000%'),
    BitFit=(102_912, '0.120%'),
    LoRA=(12 * (768 * 8 + 8 * 2304), '0.343%'),
    VPTShallow=(10 * 768, '0.009%'),
    VPTDeep=(12 * 10 * 768, '0.107%'),
    AdaptFormer=(12 * (768 * 64 + 64 + 64 * 768 + 768), '1.368%'),
)


@tunings(*SHARES)
def test_trainable_parameters_of_vit_base(name):
    with torch.device('meta'):
        vit = build_timm_vit('vit_base_patch16_224.augreg_in21k', False, None, 'cls')
        base = {n for n, _ in vit.model.named_parameters()}
        tuning, _ = build_tuning(dict(type=name))
        tuning.apply(vit)
    sizes = {n.replace('.base_layer.', '.'): p.numel() for n, p in vit.model.named_parameters()}
    trained = sum(size for n, size in sizes.items() if tuning.trains(n, n not in base))
    assert (trained, f'{trained / sum(sizes.values()):.3%}') == SHARES[name]


def test_all_options_are_resolved_to_plain_values(build):
    resolved = build_tuning(dict(type='ICA', targets=('v', 'k'), layers=range(2)))[1]
    assert resolved == dict(
        type='ICA', rank=16, act='GELU', scale=1.0, layers=[0, 1], targets=['k', 'v']
    )
    assert build_tuning(dict(type='Full'))[1] == dict(type='Full')
    encoder = build('FirstNorm')
    assert encoder.encoder_info()['tuning'] == dict(type='FirstNorm', factor=0.5, shift=True)
    assert build().encoder_info() == {**encoder.encoder_info(), 'tuning': None}


@pytest.mark.parametrize('options', [dict(act='ReLU'), dict(scale=5.0), dict(targets=('k', 'v'))])
def test_a_checkpoint_loads_beside_the_options_it_was_trained_with_alone(build, options):
    trained = build('ICA')
    meta = dict(encoder={'': trained.encoder_info()})
    checkpoint = dict(state_dict=trained.state_dict(), meta=meta)
    check_encoder(build(tuning=dict(type='ICA', rank=2, act='GELU')), checkpoint)
    with pytest.raises(ValueError, match=next(iter(options))):
        check_encoder(build(tuning=dict(type='ICA', rank=2, **options)), checkpoint)


@pytest.mark.parametrize(
    ('tuning', 'words'),
    [
        (dict(type='Prefix'), ['AdaptFormer', 'FirstNorm', 'ICA', 'VPTDeep', "'Prefix'"]),
        (dict(type='LinearNeck'), ['LinearNeck']),  # registered, but no way of tuning
        (dict(rank=2), ["{'rank': 2}"]),
        ('BitFit', ["'BitFit'"]),
        (dict(type='Full', rank=2), ["['rank']", '_delete_']),
        (dict(type='LoRA', r=2), ["['r']", 'target_modules']),
        (dict(type='LoRA', rank=0), ['LoRA', 'rank', '0']),
        (dict(type='LoRA', dropout=1.0), ['LoRA', 'dropout', '1.0']),
        (dict(type='VPTShallow', num_tokens=1.5), ['VPTShallow', 'num_tokens', '1.5']),
        (dict(type='VPTDeep', dropout=-0.1), ['VPTDeep', 'dropout', '-0.1']),
        (dict(type='AdaptFormer', bottleneck=-1), ['AdaptFormer', 'bottleneck', '-1']),
        (dict(type='AdaptFormer', dropout=2), ['AdaptFormer', 'dropout', '2']),
        (dict(type='ICA', rank=1.5), ['ICA', 'rank', '1.5']),
        (dict(type='ICA', act='Tanh'), ['act', "'Tanh'"]),
        (dict(type='ICA', targets=['q', 'o']), ['targets', "['q', 'o']"]),
        (dict(type='ICA', targets='qk'), ['targets', "'qk'"]),
        (dict(type='ICA', targets=[]), ['targets', '[]']),
    ],
)
def test_mistakes_are_named_before_the_vit_is_built(tuning, words):
    with pytest.raises(ValueError) as error:
        FrozenViT('no such ViT', tuning=tuning)
    assert all(word in str(error.value) for word in words)


@tunings(None, *OPTIONS)
def test_merging_is_for_ica_without_activation_alone(arch, name):
    encoder = FrozenViT(arch, False, 32, tuning=None if name is None else config(name))
    names = list(encoder.state_dict())
    with pytest.raises(ValueError, match="'GELU'.*act=None" if name == 'ICA' else 'ICA'):
        encoder.merge()
    assert not encoder.merged and list(encoder.state_dict()) == names
