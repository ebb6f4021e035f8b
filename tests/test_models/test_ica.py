from types import SimpleNamespace

import pytest
import reference
import torch
import torch.nn as nn

from dva_mm.models.ica import ICALinear, inject_ica

ADAPTER_NAMES = ['k_down.weight', 'k_up.weight', 'q_down.weight', 'q_up.weight']


def adapter(act='GELU', scale=1.0, bias=True, rank=3, trained=True):
    """A float64 ICALinear, C = D = 6, whose up-projections are no longer zero."""
    qkv = nn.Linear(6, 18, bias=bias, dtype=torch.float64).requires_grad_(False)
    ica = ICALinear(qkv, rank=rank, act=act, scale=scale)
    if trained:
        nn.init.normal_(ica.q_up.weight)
        nn.init.normal_(ica.k_up.weight)
    return ica


def tokens():
    return torch.randn(4, 6, dtype=torch.float64, requires_grad=True)


def blocks(count=4):
    return [SimpleNamespace(attn=SimpleNamespace(qkv=nn.Linear(6, 18))) for _ in range(count)]


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('scale', [1.0, 0.3])
@pytest.mark.parametrize('act', ['GELU', 'ReLU', None])
def test_q_k_v_and_gradients_are_those_of_three_matrices(act, scale, bias):
    ica, x = adapter(act, scale, bias), tokens()
    w_q, w_k, w_v = ica.weight[:6], ica.weight[6:12], ica.weight[12:]
    b = torch.zeros(18, dtype=torch.float64) if ica.bias is None else ica.bias
    want = torch.cat(
        (
            reference.ica(x, w_q, b[:6], ica.q_down.weight, ica.q_up.weight, act, scale),
            reference.ica(x, w_k, b[6:12], ica.k_down.weight, ica.k_up.weight, act, scale),
            torch.stack([w_v @ token + b[12:] for token in x]),
        ),
        dim=1,
    )
    got = ica(x)
    torch.testing.assert_close(got, want)
    cotangent = torch.randn_like(want)
    inputs = [x, *(p for p in ica.parameters() if p.requires_grad)]
    assert len(inputs) == 5
    torch.testing.assert_close(
        torch.autograd.grad(got, inputs, cotangent), torch.autograd.grad(want, inputs, cotangent)
    )


def test_the_start_is_bit_identical_to_the_linear():
    qkv = nn.Linear(6, 18)
    x = torch.randn(2, 5, 6)
    assert torch.equal(ICALinear(qkv)(x), qkv(x))


def test_it_takes_over_the_parameters_and_adds_four_keys():
    qkv = nn.Linear(6, 18).requires_grad_(False)
    ica = ICALinear(qkv, rank=2)
    assert ica.weight is qkv.weight and ica.bias is qkv.bias
    assert sorted(set(ica.state_dict()) - set(qkv.state_dict())) == ADAPTER_NAMES
    assert sorted(n for n, p in ica.named_parameters() if p.requires_grad) == ADAPTER_NAMES
    assert ica.q_down.weight.shape == (2, 6) and ica.k_up.weight.shape == (6, 2)


def test_reset_adapter_zeroes_up_and_draws_down_anew():
    ica = adapter()
    old = ica.k_down.weight.clone()
    ica.reset_adapter()
    assert not ica.q_up.weight.any() and not ica.k_up.weight.any()
    assert ica.k_down.weight.any() and not torch.equal(ica.k_down.weight, old)


@pytest.mark.parametrize('bias', [True, False])
def test_merged_is_a_plain_linear_with_the_same_output(bias):
    ica, x = adapter(act=None, scale=0.3, bias=bias), tokens()
    frozen = ica.weight.clone()
    linear = ica.merged()
    assert type(linear) is nn.Linear
    assert not any(p.requires_grad for p in linear.parameters())
    torch.testing.assert_close(linear(x), ica(x))
    assert torch.equal(linear.weight[12:], frozen[12:])
    assert torch.equal(ica.weight, frozen)


def test_an_activation_forbids_merging():
    with pytest.raises(ValueError, match=r"act='GELU'.*act=None"):
        adapter(act='GELU').merged()


@pytest.mark.parametrize(
    ('layers', 'chosen'),
    [(None, [0, 1, 2, 3]), ([2], [2]), ([-1], [3]), ((-1, 0), [0, 3]), (range(2), [0, 1])],
)
def test_layers_choose_the_blocks(layers, chosen):
    encoder = blocks()
    adapters = inject_ica(encoder, layers=layers, rank=2, act='ReLU', scale=0.5)
    adapted = [i for i, b in enumerate(encoder) if isinstance(b.attn.qkv, ICALinear)]
    assert adapted == chosen
    assert adapters == [encoder[i].attn.qkv for i in chosen]
    for ica in adapters:
        assert ica.q_down.out_features == 2 and isinstance(ica.act, nn.ReLU) and ica.scale == 0.5


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layers=[4]), r'\[4\] are out of range.*4 blocks'),
        (dict(layers=[0, -5]), r'\[-5\] are out of range'),
        (dict(layers=[0, -4]), r'each block once.*\[0, -4\]'),
        (dict(layers=[]), r'at least one.*\[\]'),
        (dict(rank=0), 'rank must be a positive integer, got 0'),
        (dict(rank=1.5), 'rank must be a positive integer, got 1.5'),
        (dict(act='Tanh'), "'GELU', 'ReLU' or None, got 'Tanh'"),
    ],
)
def test_a_mistake_is_named_and_changes_no_block(options, message):
    encoder = blocks()
    with pytest.raises(ValueError, match=message):
        inject_ica(encoder, **options)
    assert all(type(block.attn.qkv) is nn.Linear for block in encoder)


def test_a_linear_that_is_no_fused_qkv_is_refused():
    with pytest.raises(ValueError, match='3D outputs, got 8 outputs'):
        ICALinear(nn.Linear(4, 8))
