from types import SimpleNamespace

import pytest
import reference
import torch
import torch.nn as nn
from mmengine.analysis import get_model_complexity_info

from dva_mm.models import FrozenViT, ICALinear
from dva_mm.models.tuning import ICA


def adapter(act='GELU', scale=1.0, bias=True, targets=('q', 'k')):
    """A float64 ICALinear, C = D = 6, whose up-projections are no longer zero."""
    qkv = nn.Linear(6, 18, bias=bias, dtype=torch.float64).requires_grad_(False)
    ica = ICALinear(qkv, rank=3, act=act, scale=scale, targets=targets)
    for name, parameter in ica.named_parameters():
        if '_up' in name:
            nn.init.normal_(parameter)
    return ica


def tokens():
    return torch.randn(4, 6, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize('targets', [('q', 'k'), ('q', 'k', 'v'), ('v',)])
@pytest.mark.parametrize(('scale', 'bias'), [(1.0, True), (0.3, False)])
@pytest.mark.parametrize('act', ['GELU', 'ReLU', None])
def test_q_k_v_and_gradients_are_those_of_three_matrices(act, scale, bias, targets):
    ica, x = adapter(act, scale, bias, targets), tokens()
    b = torch.zeros(18, dtype=torch.float64) if ica.bias is None else ica.bias
    parts = []
    for name, w_i, b_i in zip('qkv', ica.weight.split(6), b.split(6), strict=True):
        if name in targets:
            down, up = getattr(ica, f'{name}_down'), getattr(ica, f'{name}_up')
            parts.append(reference.ica(x, w_i, b_i, down.weight, up.weight, act, scale))
        else:
            parts.append(torch.stack([w_i @ token + b_i for token in x]))
    want, got = torch.cat(parts, dim=1), ica(x)
    torch.testing.assert_close(got, want)
    cotangent = torch.randn_like(want)
    inputs = [x, *(p for p in ica.parameters() if p.requires_grad)]
    assert len(inputs) == 1 + 2 * len(targets)
    torch.testing.assert_close(
        torch.autograd.grad(got, inputs, cotangent), torch.autograd.grad(want, inputs, cotangent)
    )


@pytest.mark.parametrize(('act', 'scale', 'bias'), [('GELU', 0.3, True), (None, 1.0, False)])
def test_another_linear_gets_one_bottleneck_on_its_whole_output(act, scale, bias):
    linear = nn.Linear(6, 10, bias=bias, dtype=torch.float64).requires_grad_(False)
    ica, x = ICALinear(linear, rank=3, act=act, scale=scale, targets=None), tokens()
    assert torch.equal(ica(x), linear(x))
    assert [name for name, p in ica.named_parameters() if p.requires_grad] == [
        'down.weight',
        'up.weight',
    ]
    nn.init.normal_(ica.up.weight)
    b = ica.bias if bias else torch.zeros(10, dtype=torch.float64)
    want = reference.ica(x, ica.weight, b, ica.down.weight, ica.up.weight, act, scale)
    inputs, cotangent = [x, ica.down.weight, ica.up.weight], torch.randn(4, 10).double()
    torch.compiler.reset()
    for module in (ica, torch.compile(ica, backend='eager')):
        got = module(x)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(
            torch.autograd.grad(got, inputs, cotangent),
            torch.autograd.grad(want, inputs, cotangent, retain_graph=True),
        )
    if act is None:
        torch.testing.assert_close(ica.merged()(x), want)


@pytest.mark.parametrize('act', ['GELU', None])
def test_compiled_in_place_and_without_graph_it_computes_the_same(act):
    """Compiled, it adds to copies; else in place. No backward and no inference changes that."""
    ica, x = adapter(act, 0.3), tokens()
    inputs = [x, *(p for p in ica.parameters() if p.requires_grad)]
    cotangent = torch.randn(4, 18, dtype=torch.float64)

    def compute(module):
        out = module(x)
        return [out, *torch.autograd.grad(out, inputs, cotangent)]

    in_place, before = compute(ica), [tensor.detach().clone() for tensor in inputs]
    with torch.inference_mode():
        torch.testing.assert_close(ica(x), in_place[0])
    for bare in (x.detach(), x.detach().T.contiguous().T[None]):  # no gradient, other strides
        torch.testing.assert_close(ica(bare).view(4, 18), in_place[0])
    torch.compiler.reset()
    torch.testing.assert_close(compute(torch.compile(ica, backend='eager')), in_place)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


def test_mmengines_counter_of_operations_traces_an_encoder():
    encoder = FrozenViT('test_vit', False, 32, tuning=dict(type='ICA', rank=2))
    plain = FrozenViT('test_vit', False, 32, tuning=None)
    counts = [
        get_model_complexity_info(each, input_shape=(3, 32, 32), show_table=False, show_arch=False)
        for each in (encoder, plain)
    ]
    assert counts[0]['flops'] > counts[1]['flops'] > 0
    ica, x = adapter(), tokens()
    torch.testing.assert_close(torch.jit.trace(ica, x)(x), ica(x))


def test_under_autocast_gradients_are_float32_and_near():
    ica, x = adapter().float(), torch.randn(4, 6, requires_grad=True)
    (plain,) = torch.autograd.grad(ica(x).square().sum(), ica.q_up.weight)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = ica(x)
    assert mixed.dtype == torch.bfloat16
    (got,) = torch.autograd.grad(mixed.float().square().sum(), ica.q_up.weight)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, plain, rtol=0.05, atol=0.05 * plain.abs().max().item())


def test_it_takes_over_the_parameters_and_adds_four_keys():
    """The draws are those of four Linears and two resets: a seed gives the same adapters ever."""
    qkv, x = nn.Linear(6, 18).requires_grad_(False), torch.randn(2, 5, 6)
    torch.manual_seed(3)
    ica = ICALinear(qkv, rank=2)
    added = ['q_down.weight', 'q_up.weight', 'k_down.weight', 'k_up.weight']  # in this order
    assert ica.weight is qkv.weight and ica.bias is qkv.bias
    assert [name for name in ica.state_dict() if name not in qkv.state_dict()] == added
    assert [name for name, p in ica.named_parameters() if p.requires_grad] == added
    assert torch.equal(ica(x), qkv(x))
    torch.manual_seed(3)
    linears = [nn.Linear(*sizes, bias=False) for sizes in ((6, 2), (2, 6), (6, 2), (2, 6))]
    for linear, down in zip(linears[::2], (ica.q_down, ica.k_down), strict=True):
        linear.reset_parameters()
        assert torch.equal(down.weight, linear.weight)


@pytest.mark.parametrize(('bias', 'targets'), [(True, ('q', 'k')), (False, ('k', 'v'))])
def test_merged_is_a_plain_linear_with_the_same_output(bias, targets):
    ica, x = adapter(None, 0.3, bias, targets), tokens()
    frozen = ica.weight.clone()
    linear = ica.merged()
    assert type(linear) is nn.Linear
    assert not any(p.requires_grad for p in linear.parameters())
    torch.testing.assert_close(linear(x), ica(x))
    same = [torch.equal(a, b) for a, b in zip(linear.weight.split(6), frozen.split(6), strict=True)]
    assert same == [name not in targets for name in 'qkv']
    assert torch.equal(ica.weight, frozen)


def test_merging_an_encoder_keeps_embeddings_and_leaves_the_plain_vit(arch, images):
    targets = ('q', 'k', 'proj', 'fc1', 'fc2')
    tuning = dict(type='ICA', rank=2, act=None, scale=0.7, layers=[0, -1], targets=targets)
    encoder = FrozenViT(arch, False, 32, 'avg', tuning=tuning)
    plain = FrozenViT(arch, False, 32, 'avg', tuning=None)
    names = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    assert len(names) == 2 * 2 * len(targets)
    for name in names:
        if 'up.' in name:
            nn.init.normal_(encoder.get_parameter(name), std=0.5)
    (want,) = encoder(images)
    encoder.merge()
    assert encoder.merged
    torch.testing.assert_close(encoder(images)[0], want, rtol=1e-4, atol=1e-5)
    plain.load_state_dict(encoder.state_dict(), strict=True)  # no key was lost or added
    assert torch.equal(plain(images)[0], encoder(images)[0])
    assert not any(p.requires_grad for p in encoder.parameters())
    with pytest.raises(ValueError, match='merged=True'):
        encoder.merge()


def blocks():
    layers = [
        nn.ModuleDict(
            dict(
                attn=nn.ModuleDict(dict(qkv=nn.Linear(6, 18), proj=nn.Linear(6, 6))),
                mlp=nn.ModuleDict(dict(fc1=nn.Linear(6, 9), gate=nn.Linear(6, 9))),
            )
        )
        for _ in range(4)
    ]
    return SimpleNamespace(blocks=layers, name='a ViT')


@pytest.mark.parametrize(
    ('layers', 'chosen'),
    [(None, [0, 1, 2, 3]), ([2], [2]), ([-1], [3]), ((-1, 0), [0, 3]), (range(2), [0, 1])],
)
def test_layers_choose_the_blocks(layers, chosen):
    vit = blocks()
    added = ICA(layers=layers, rank=2, act='ReLU', scale=0.5).apply(vit)
    assert added == [vit.blocks[i]['attn']['qkv'] for i in chosen]
    assert sum(isinstance(b['attn']['qkv'], ICALinear) for b in vit.blocks) == len(chosen)
    for ica in added:
        assert ica.q_down.out_features == 2 and isinstance(ica.act, nn.ReLU) and ica.scale == 0.5


@pytest.mark.parametrize('layers', [[4], [0, -5], [0, -4], []])
def test_layers_that_are_none_of_the_blocks_or_named_twice_change_nothing(layers):
    vit = blocks()
    with pytest.raises(ValueError, match='layers'):
        ICA(layers=layers).apply(vit)
    assert all(type(block['attn']['qkv']) is nn.Linear for block in vit.blocks)


def test_targets_choose_the_layers_in_one_order():
    vit = blocks()
    added = ICA(layers=[1], targets=['fc1', 'v', 'proj'], rank=2).apply(vit)
    block = vit.blocks[1]
    assert added == [block['attn']['qkv'], block['attn']['proj'], block['mlp']['fc1']]
    assert [[*ica.places] for ica in added] == [['v_'], [''], ['']]
    assert type(block['mlp']['gate']) is nn.Linear
    vit = blocks()
    with pytest.raises(ValueError, match=r"'fc2'.*a ViT.*mlp\.gate"):
        ICA(targets=['q', 'fc2']).apply(vit)
    assert all(type(block['attn']['qkv']) is nn.Linear for block in vit.blocks)
    for bad in (['out'], [['q']], 'q', []):
        with pytest.raises(ValueError, match="targets must be a list out of .*'fc2', 'mlp'"):
            ICA(targets=bad)


def test_a_linear_that_is_no_fused_qkv_is_refused():
    with pytest.raises(ValueError, match='8 outputs'):
        ICALinear(nn.Linear(4, 8))
