"""Encoders between the pre-trained and the tuned one."""

import copy

import pytest
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from dva_mm.models import FrozenViT

TUNINGS = ['ICA', 'LoRA', 'AdaptFormer', 'Full', 'BitFit']


def build(arch: str | dict, file: str, tuning: dict | None) -> FrozenViT:
    config = dict(type='FrozenViT', arch=arch, pretrained=file, img_size=32, tuning=tuning)
    return MODELS.build(config).eval()


@pytest.fixture
def file(arch, save_weights) -> str:
    encoder = MODELS.build(
        dict(type='FrozenViT', arch=arch, pretrained=False, img_size=32, tuning=None)
    )
    return save_weights({n.removeprefix('host.'): t for n, t in encoder.state_dict().items()})


def tuned(arch: str | dict, file: str, tuning: str) -> FrozenViT:
    encoder = build(arch, file, dict(type=tuning))
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return encoder


@pytest.mark.parametrize('tuning', TUNINGS)
def test_none_of_it_is_the_pre_trained_encoder_and_all_of_it_the_tuned_one(
    tuning, arch, file, images
):
    encoder, frozen = tuned(arch, file, tuning), build(arch, file, None)
    before = encoder(images)[0]
    assert not torch.allclose(before, frozen(images)[0], atol=0.01)
    encoder.interpolate(1.0)
    torch.testing.assert_close(encoder(images)[0], before)
    encoder.interpolate(0.0)
    torch.testing.assert_close(encoder(images)[0], frozen(images)[0])


def test_weights_lie_on_the_line_and_adapters_have_another_scale(arch, file, images):
    full, frozen = tuned(arch, file, 'Full'), build(arch, file, None)
    between = copy.deepcopy(full)
    between.interpolate(1.25)
    for name, value in frozen.state_dict().items():
        wanted = value + 1.25 * (full.state_dict()[name] - value)
        torch.testing.assert_close(between.state_dict()[name], wanted)
    ica = tuned(arch, file, 'ICA')
    half = build(arch, file, dict(type='ICA', scale=0.5))
    half.load_state_dict(ica.state_dict())
    ica.interpolate(0.5)
    torch.testing.assert_close(ica(images)[0], half(images)[0])


def test_what_cannot_be_interpolated_is_refused(arch, file):
    with pytest.raises(ValueError, match='VPTDeep'):
        build(arch, file, dict(type='VPTDeep')).interpolate(0.5)
    merged = build(arch, file, dict(type='ICA', act=None))
    merged.merge()
    random = MODELS.build(
        dict(type='FrozenViT', arch=arch, pretrained=False, tuning=dict(type='Full'))
    )
    twice = build(arch, file, dict(type='ICA'))
    twice.interpolate(0.25)
    assert twice.encoder_info()['share'] == 0.25
    for encoder, words in ((merged, 'merged'), (random, 'random'), (twice, '0.25')):
        with pytest.raises(ValueError, match=words):
            encoder.interpolate(0.5)
