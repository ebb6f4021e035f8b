"""Sequences of some patch tokens, and the retriever that makes OPA's views of them."""

import pytest
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from dva_mm.models import DVARetriever, FrozenViT

PLACES = [[0, 3], [1, 2], [3, 3]]


def build(arch: str | dict, **options: object) -> FrozenViT:
    encoder = MODELS.build(
        dict(type='FrozenViT', arch=arch, pretrained=False, img_size=32, **options)
    )
    for name, parameter in encoder.named_parameters():
        if '_up.' in name:
            nn.init.normal_(parameter, std=0.5)
    return encoder.eval()


def one_by_one(encoder: FrozenViT, images: Tensor, places: list[list[int]]) -> Tensor:
    """Tokens of each image on its own: those that enter the first block, picked by a loop."""
    entering = []
    handle = encoder.blocks[0].register_forward_pre_hook(lambda _m, args: entering.append(args[0]))
    encoder(images)
    handle.remove()
    prefix = entering[0].shape[1] - (32 // encoder.patch_size) ** 2
    norm = encoder.host.norm if hasattr(encoder.host, 'norm') else encoder.host.ln1
    rows = []
    for tokens, chosen in zip(entering[0], places, strict=True):
        x = torch.stack([*tokens[:prefix], *(tokens[prefix + place] for place in chosen)])[None]
        for block in encoder.blocks:
            x = block(x)
        rows.append(norm(x)[0])
    return torch.stack(rows)


def test_kept_patches_are_encoded_as_a_sequence_of_their_own(arch, images):
    encoder = build(arch, pooling='cls')
    tokens = one_by_one(encoder, images, PLACES)
    torch.testing.assert_close(encoder(images, torch.tensor(PLACES))[0], tokens[:, 0])
    averaged = build(arch, pooling='avg')
    averaged.load_state_dict(encoder.state_dict(), strict=False)
    tokens = one_by_one(averaged, images, PLACES)
    torch.testing.assert_close(averaged(images, torch.tensor(PLACES))[0], tokens[:, -2:].mean(1))


@pytest.mark.parametrize('family', ['vit', 'dinov2', 'clip', 'siglip'])
def test_all_patches_in_any_order_give_the_plain_embedding(family, tiny_vit, images):
    encoder = build(tiny_vit(family), pooling='map' if family == 'siglip' else 'avg')
    plain = encoder(images)[0]
    count = 4
    places = torch.stack([torch.randperm(count) for _ in images])
    torch.testing.assert_close(encoder(images, places)[0], plain)
    assert not torch.allclose(encoder(images, places[:, :2])[0], plain, atol=1e-3)
    torch.testing.assert_close(encoder(images)[0], plain)  # nothing stays behind


def test_prompts_are_no_patches(arch, images):
    encoder = build(arch, pooling='avg', tuning=dict(type='VPTDeep', num_tokens=3))
    every = torch.arange((32 // encoder.patch_size) ** 2).expand(3, -1)
    torch.testing.assert_close(encoder(images, every)[0], encoder(images)[0])


def test_checkpointing_changes_no_gradient_of_some_patches(tiny_vit, images):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        encoder = build(tiny_vit('vit'), grad_checkpointing=checkpointing).train()
        encoder(images, torch.tensor(PLACES))[0].square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_rotary_encoder_is_refused(tiny_vit, images):
    with pytest.raises(ValueError, match='RoPE'):
        build(tiny_vit('dinov3'))(images, torch.tensor(PLACES))


@pytest.mark.parametrize('background', ['proxy', 'none'])
def test_the_second_and_third_view_are_of_the_chosen_patches(arch, images, background):
    head = dict(type='DVAHead', num_classes=5, background=background)
    backbone = dict(type='FrozenViT', arch=arch, pretrained=False, img_size=32)
    model: DVARetriever = MODELS.build(dict(type='DVARetriever', backbone=backbone, head=head))
    side = 32 // model.backbone.patch_size
    model.backbone.load_state_dict(build(arch).state_dict())
    samples = [DataSample().set_gt_label(label) for label in (4, 0, 2)]
    for index, sample in enumerate(samples):
        sample.set_field(index != 1, 'has_background', field_type='metainfo')
        sample.set_field(torch.tensor(PLACES[index]), 'object_patches')
        sample.set_field(torch.tensor(PLACES[index][::-1]) // 2, 'background_patches')
        sample.set_field((side, side), 'patch_grid')
    losses = model.eval()(images, samples, mode='loss')
    z_d = one_by_one(model.backbone, images, PLACES)[:, 0]
    others = [[place // 2 for place in places[::-1]] for places in PLACES]
    z_b = one_by_one(model.backbone, images, others)[[0, 2], 0]
    labels = torch.tensor([4, 0, 2])
    wanted = model.head.loss(model.backbone(images)[0], labels, z_d, z_b, labels[[0, 2]])
    assert ('loss_background' in losses) == (background == 'proxy')
    for name, value in losses.items():
        torch.testing.assert_close(value, wanted[name])
    for sample in samples:
        sample.set_field((side + 1, side), 'patch_grid')
    with pytest.raises(ValueError, match='patch_size'):
        model(images, samples, mode='loss')
    for lost in ('object_patches', 'patch_grid'):  # not among PackInputs' algorithm_keys
        for sample in samples:
            held = sample.pop(lost)
        with pytest.raises(ValueError, match=lost):
            model(images, samples, mode='loss')
        for sample in samples:
            sample.set_field(held, lost)


@pytest.mark.parametrize('family', ['vit', 'dinov3'])
def test_images_of_another_size_are_embedded_as_by_an_encoder_of_that_size(
    family, tiny_vit, save_weights
):
    arch = tiny_vit(family)
    plain = build(arch, tuning=None)
    file = save_weights({n.removeprefix('host.'): t for n, t in plain.state_dict().items()})
    any_size = build(arch, tuning=None, dynamic_img_size=True)
    any_size.load_state_dict(plain.state_dict())
    for size in (32, 64):
        images = torch.randn(2, 3, size, size)
        resized = FrozenViT(arch, pretrained=file, img_size=size, tuning=None).eval()
        torch.testing.assert_close(any_size(images)[0], resized(images)[0])


@pytest.mark.parametrize('size', [16, 64])
def test_objects_may_be_of_another_size(mmpretrain_arch, images, size):
    """mmpretrain's ViT takes any; each size is one forward."""
    backbone = dict(type='FrozenViT', arch=mmpretrain_arch, pretrained=False, img_size=32)
    head = dict(type='DVAHead', num_classes=5)
    model = MODELS.build(dict(type='DVARetriever', backbone=backbone, head=head)).eval()
    model.backbone.load_state_dict(build(mmpretrain_arch).state_dict())
    samples = [DataSample().set_gt_label(label) for label in (4, 0, 2)]
    objects = torch.randn(3, 3, size, size)
    losses = model([images, objects, images.flip(-1)], samples, mode='loss')
    z, z_d, z_b = (model.backbone(view)[0] for view in (images, objects, images.flip(-1)))
    labels = torch.tensor([4, 0, 2])
    for name, value in model.head.loss(z, labels, z_d, z_b, labels).items():
        torch.testing.assert_close(losses[name], value)
