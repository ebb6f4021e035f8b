import sys

import pytest
import torch

from dva_mm.models import FrozenViT


def build(arch, **options):
    return FrozenViT(arch, False, 32, tuning=dict(type='LoRA', **options)).eval()


@pytest.mark.parametrize('target', ['qkv', 'attn.proj'])
def test_lora_adds_its_product_to_the_chosen_layers(arch, target):
    pytest.importorskip('peft')
    encoder, part = build(arch, rank=2, alpha=3, target_modules=[target]), target.split('.')[-1]
    for block in encoder.blocks:
        layer = getattr(block.attn, part)
        down, up = layer.lora_A.default.weight, layer.lora_B.default.weight
        assert down.shape == (2, encoder.embed_dims)
        torch.nn.init.normal_(up)
        x = torch.randn(2, 5, encoder.embed_dims)
        want = layer.base_layer(x) + 3 / 2 * (x @ down.T @ up.T)
        torch.testing.assert_close(layer(x), want, rtol=1e-4, atol=1e-5)
    trained = [n for n, p in encoder.named_parameters() if p.requires_grad]
    assert {n.split('.lora_')[0].split('.attn.')[1] for n in trained} == {part}


def test_without_peft_the_remedy_is_named(arch, monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match=r'dva_mm\[baselines\]'):
        build(arch)


@pytest.mark.parametrize('targets', [['qkv', 'kv'], [], 'qkv'])
def test_targets_that_fit_no_layer_are_answered_with_the_layers(arch, targets):
    with pytest.raises(ValueError) as error:
        build(arch, target_modules=targets)
    assert repr(targets) in str(error.value) and 'attn.proj' in str(error.value)
