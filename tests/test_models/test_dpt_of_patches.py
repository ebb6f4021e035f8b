"""DPT from the object's patch tokens to the original's, against naive twins."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from dva_mm.models import DPTLoss, FrozenViT
from dva_mm.models.views import patches_inside

BOXES = [(1.0, 0.0, 25.0, 9.0), None, (40.0, 0.0, 60.0, 9.0), (16.0, 16.0, 32.0, 48.0)]
INSIDE = [[0, 1], [], [], [3]]  # of the 2 x 2 patches of 16 pixels, those whose centre is inside


def build(patches: float = 1.0, backbone: dict | None = None, neck: dict | None = None, **options):
    torch.manual_seed(3)
    vit = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    vit |= dict(tuning=dict(type='ICA', rank=2), pooling='cls+avg') | (backbone or {})
    head = dict(type='DVAHead', num_classes=5, dpt=dict(patches=patches), **options)
    model = MODELS.build(dict(type='DVARetriever', backbone=vit, neck=neck, head=head))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn_like(weight)
    return model


@pytest.fixture
def views():
    return [torch.randn(4, 3, 32, 32) for _ in range(3)]


@pytest.fixture
def samples():
    samples = [DataSample().set_gt_label(label) for label in (4, 0, 2, 4)]
    for sample, box in zip(samples, BOXES, strict=True):
        sample.set_field(box, 'box')
        sample.set_field(box is not None, 'has_background')
    return samples


def test_patches_are_inside_by_their_centres():
    got = patches_inside(BOXES, (32, 32), 16)
    assert [row.nonzero()[:, 0].tolist() for row in got] == INSIDE
    edges = [(7, 7, 9, 9), (8, 0, 24, 32), (8.1, 0, 24.1, 32)]  # centres lie at 8 and 24
    got = patches_inside(edges, (32, 32), 16)
    assert [row.nonzero()[:, 0].tolist() for row in got] == [[0], [0, 2], [1, 3]]
    x1, y1, x2, y2 = box = (5.0, 11.0, 31.0, 30.0)
    want = [
        x1 <= 8 * column + 4 < x2 and y1 <= 8 * row + 4 < y2
        for row in range(4)
        for column in range(6)
    ]
    assert patches_inside([box], (32, 48), 8)[0].tolist() == want and any(want)


@pytest.mark.parametrize('prompts', [0, 2])
def test_means_of_regions_are_those_of_the_tokens(arch, images, prompts):
    tuning = dict(type='VPTDeep', num_tokens=prompts) if prompts else None
    encoder = FrozenViT(arch, False, 32, 'cls', tuning=tuning).eval()
    count = (32 // encoder.patch_size) ** 2
    regions = torch.randint(2, (len(images), count))
    regions[0], regions[1] = 0, 1
    embedding, means = encoder(images, regions=regions)
    assert torch.equal(embedding, encoder(images)[0])
    tokens = encoder._vit.tokens(images)[:, -count:]  # the patches stand last
    for mean, row, token in zip(means, regions, tokens, strict=True):
        chosen = [token[i] for i in range(count) if row[i]]
        want = sum(chosen) / len(chosen) if chosen else torch.zeros(encoder.embed_dims)
        torch.testing.assert_close(mean, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [32, 48])
def test_the_term_is_the_cosine_distance_of_the_two_means(views, samples, size):
    """And nothing else changes, for objects of the original's size and of another."""
    model = build(patches=0.3, backbone=dict(dynamic_img_size=True), beta=2.0)
    plain = build(patches=0.0, backbone=dict(dynamic_img_size=True), beta=2.0)
    views[1] = torch.randn(4, 3, size, size)
    losses = model(views, samples, mode='loss')
    for name, value in plain(views, samples, mode='loss').items():
        torch.testing.assert_close(losses.pop(name), value)
    originals = model.backbone._vit.tokens(views[0])[:, -4:]
    objects = model.backbone._vit.tokens(views[1])[:, -((size // 16) ** 2) :].mean(dim=1)
    pairs = [(originals[i, inside].mean(dim=0), objects[i]) for i, inside in enumerate(INSIDE)]
    distances = [
        1 - F.cosine_similarity(s, t, dim=0)
        for (s, t), inside in zip(pairs, INSIDE, strict=True)
        if inside
    ]
    assert len(distances) == 2
    torch.testing.assert_close(losses.pop('loss_dpt_patches'), 2.0 * 0.3 * sum(distances) / 2)
    assert not losses


def test_no_gradient_reaches_the_object(views, samples):
    model = build()
    for view in views:
        view.requires_grad_()
    model(views, samples, mode='loss')['loss_dpt_patches'].backward()
    assert views[0].grad.abs().sum() > 0
    assert views[1].grad is None or not views[1].grad.any()


def test_regions_of_none_change_nothing(views):
    model = build()
    assert torch.equal(model.extract_feat(views[0], regions=None), model.extract_feat(views[0]))


def test_without_an_object_in_sight_the_term_is_zero(views, samples):
    for sample in samples:
        sample.set_field(None, 'box')
    losses = build()(views, samples, mode='loss')
    assert losses['loss_dpt_patches'].item() == 0
    sum(losses.values()).backward()


def test_objects_on_other_backgrounds_teach_and_learn(views, samples):
    model = build(background='none')
    plain = model(views, samples, mode='loss')['loss_dpt_patches']
    model.background_swap = 1.0
    other = model(views, samples, mode='loss')['loss_dpt_patches']
    assert other != plain


def test_the_term_is_in_float32_under_autocast(views, samples):
    with torch.autocast('cpu', torch.bfloat16):
        losses = build()(views, samples, mode='loss')
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_an_encoder_that_norms_its_mean_norms_that_of_a_region():
    encoder = FrozenViT('test_vit2', False, 32, 'avg', tuning=None).eval()
    images = torch.randn(2, 3, 32, 32)
    embedding, means = encoder(images, regions=torch.ones(2, 4))
    torch.testing.assert_close(means, embedding)


def test_a_neck_takes_the_embedding_alone(views, samples):
    neck = dict(type='LinearNeck', in_channels=128, out_channels=8, norm_cfg=None)
    losses = build(neck=neck)(views, samples, mode='loss')
    assert losses['loss_dpt_patches'] > 0 and losses['loss_proxy'] > 0


def test_what_it_needs_is_named(views, samples):
    for bad in (-1, float('inf'), '1', None):
        with pytest.raises(ValueError, match=f'patches is a weight of at least 0, got {bad!r}'):
            DPTLoss(patches=bad)
    bare = [DataSample().set_gt_label(0) for _ in range(4)]
    with pytest.raises(ValueError, match='needs FrozenViT, got ResNet'):
        model = build(neck=dict(type='GlobalAveragePooling'))
        model.backbone = MODELS.build(dict(type='ResNet', depth=18))
        model(views, samples, mode='loss')
    with pytest.raises(ValueError, match="needs 'box' in the data samples"):
        build()(views, bare, mode='loss')
    for sample in bare:
        sample.set_field(torch.tensor([0]), 'object_patches')
    with pytest.raises(ValueError, match='momentum and patches need the image of each object'):
        build()(views[0], bare, mode='loss')
