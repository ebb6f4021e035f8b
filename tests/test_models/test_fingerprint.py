"""Sums and hashes that tell one encoder's tensors from another's, on any device."""

import pytest
import torch
from torch import Tensor

from dva_mm.models import FrozenViT
from dva_mm.models.fingerprint import hash_tensors, sum_bits

TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool)
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@pytest.mark.parametrize('dtype', TYPES)
def test_a_sum_sees_the_smallest_change_and_no_order(dtype: torch.dtype):
    tensor = (100 * torch.randn(7, 5)).to(dtype)
    changed = tensor.clone()
    changed.view(WORDS[tensor.element_size()])[-1, -1] ^= 1  # the last place of a number
    assert sum_bits([changed]) != sum_bits([tensor])
    shuffled = tensor.flatten()[torch.randperm(35)].view(7, 5)
    assert sum_bits([shuffled, tensor[0, 0]]) == sum_bits([tensor.T, tensor[0, 0]])
    assert sum_bits([]) == []


def test_a_hash_covers_names_shapes_and_values():
    tensors = dict(weight=torch.ones(2, 3), pos_embed=torch.ones(4))
    same = hash_tensors(dict(reversed(tensors.items())), only_shape=('pos_embed',))
    assert hash_tensors(dict(tensors, pos_embed=torch.zeros(4)), only_shape=('pos_embed',)) == same
    for changed in (
        dict(tensors, pos_embed=torch.ones(5)),
        dict(tensors, weight=torch.ones(3, 2)),
        dict(tensors, weight=torch.ones(2, 3).index_fill(0, torch.tensor([1]), 1 + 1e-6)),
        dict(weights=tensors['weight'], pos_embed=tensors['pos_embed']),
    ):
        assert hash_tensors(changed, only_shape=('pos_embed',)) != same


def test_initialisation_keeps_an_encoder_whose_sums_are_rounded_otherwise(
    monkeypatch: pytest.MonkeyPatch,
):
    """MMEngine initialises on the GPU, which adds in another order than the CPU that built it."""
    encoder = FrozenViT('test_vit', pretrained=False, img_size=32)
    info, state = encoder.encoder_info(), {n: t.clone() for n, t in encoder.state_dict().items()}
    add = Tensor.sum

    def rounded_up(tensor: Tensor, **options) -> Tensor:
        total = add(tensor, **options)
        return total.nextafter(total + 1) if total.is_floating_point() else total

    monkeypatch.setattr(Tensor, 'sum', rounded_up)
    encoder.init_weights()
    assert encoder.encoder_info() == info
    frozen = encoder.base_names()
    assert all(torch.equal(encoder.state_dict()[name], state[name]) for name in frozen)
    weight = encoder.host.state_dict()['blocks.0.mlp.fc1.weight']
    weight[0, 0].nextafter_(torch.tensor(9.0))  # by one unit in the last place
    encoder.init_weights()
    assert encoder.encoder_info() != info  # random weights: others are drawn
