"""Maps of activation and attention against naive twins."""

import sys

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from dva_mm.visualization.maps import activation_maps, attention_maps, class_means, share_inside


def make_model(arch, **options):
    backbone = dict(type='FrozenViT', arch=arch, img_size=32, pretrained=False, **options)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(type='DVARetriever', backbone=backbone))
    return model.eval().requires_grad_(False)


def by_hand(model, image, target):
    """Activation times gradient, summed over the channels, positive part, on the patch grid."""
    block, kept = model.backbone.blocks[-1], []

    def keep(module, inputs, output):
        output.requires_grad_()
        kept.append(output)

    layer = block.norm1 if hasattr(block, 'norm1') else block.ln1
    handle = layer.register_forward_hook(keep)
    (model(image[None], mode='tensor')[0] @ F.normalize(target, dim=0)).backward()
    handle.remove()
    tokens = (kept[0] * kept[0].grad).detach()[0].sum(dim=-1)
    side = model.backbone.img_size // model.backbone.encoder_info()['patch_size']
    return tokens[-side * side :].reshape(side, side).clamp_min(0)


@pytest.mark.parametrize('pooling', ['cls', 'avg'])
def test_activation_is_gradient_times_activation(arch, images, pooling):
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    model = make_model(arch, pooling=pooling)
    targets = torch.randn(3, model.backbone.embed_dims)
    maps = activation_maps(model, images, targets)
    assert maps.shape == (3, 32, 32)
    for found, image, target in zip(maps, images, targets, strict=True):
        expected = by_hand(model, image, target)
        assert found.min() >= 0 and found.max() <= 1
        # Both have their largest value at the same patch, and none where nothing speaks for it.
        side = len(expected)
        cells = torch.from_numpy(found).reshape(side, 32 // side, side, 32 // side).mean(dim=(1, 3))
        if expected.max() > 1e-6:
            assert cells.argmax() == expected.argmax()
        else:
            assert found.max() < 1e-3


def test_maps_leave_the_model_as_it_was(arch, images):
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    model = make_model(arch)
    before = model(images, mode='tensor')
    targets = torch.randn(3, model.backbone.embed_dims)
    first = activation_maps(model, images, targets)
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert torch.equal(model(images, mode='tensor'), before)
    assert not images.requires_grad
    again = activation_maps(model, images, 5 * targets)
    assert np.allclose(again, first, atol=1e-3)


def test_other_encoders_and_a_missing_library_are_named(images, monkeypatch):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = dict(type='ResNet', depth=18)
        neck = dict(type='GlobalAveragePooling')
        model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck))
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(ImportError, match='viz'):
        activation_maps(model, images, torch.ones(3, 512))
    monkeypatch.undo()
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    with pytest.raises(ValueError, match='ResNet'):
        activation_maps(model, images, torch.ones(3, 512))


def test_attention_is_the_mean_of_the_last_blocks(arch, images):
    from dva_mm.detection.sources.attention import class_attention

    model = make_model(arch)
    maps = attention_maps(model, images, count=2)
    for found, image in zip(maps, images, strict=True):
        mean = sum(class_attention(model.backbone, image[None], block)[0] for block in (-2, -1))
        mean = ((mean - mean.min()) / (mean.max() - mean.min())).detach().numpy()
        assert found == pytest.approx(cv2.resize(mean, (32, 32)), abs=1e-4)


def test_class_means_leave_the_image_out():
    embeddings = np.random.default_rng(0).normal(size=(7, 3))
    labels = [0, 1, 0, 2, 0, 1, 1]
    means = class_means(embeddings, labels, range(7))
    for row, mean in enumerate(means):
        others = [i for i in range(7) if labels[i] == labels[row] and i != row] or [row]
        assert mean == pytest.approx(sum(embeddings[i] for i in others) / len(others))


def test_the_share_inside_a_box_counts_its_pixels():
    heat = np.arange(20.0).reshape(4, 5)
    inside = sum(heat[y, x] for y in (1, 2) for x in (2, 3, 4))
    assert share_inside(heat, (2, 1, 5, 3)) == pytest.approx(inside / heat.sum())
    assert np.isnan(share_inside(np.zeros((4, 5)), (0, 0, 2, 2)))
