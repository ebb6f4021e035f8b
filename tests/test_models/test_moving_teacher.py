"""The moving-average teacher of DPT against a naive twin."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from dva_mm.models import MovingTeacher, dpt_cosine, dpt_kl, dpt_l2


def build(momentum: float | None, neck: dict | None = None, mode: str = 'kl', **options):
    """The same model for any momentum, its adapters away from their start."""
    torch.manual_seed(3)
    backbone = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    backbone['tuning'] = dict(type='ICA', rank=2)
    head = dict(type='DVAHead', num_classes=5, dpt=dict(momentum=momentum, mode=mode), **options)
    model = MODELS.build(dict(type='DVARetriever', backbone=backbone, neck=neck, head=head))
    move(model, 0)
    return model


def move(model, seed: int) -> None:
    """A step of an optimiser, drawn."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=draw)


@pytest.fixture
def views():
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(3, 3, 32, 32, generator=draw) for _ in range(3)]


@pytest.fixture
def samples():
    return [DataSample().set_gt_label(label) for label in (4, 0, 2)]


def averaged(model, weights: dict):
    """A copy with other weights."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in twin.named_parameters():
            weight.copy_(weights.get(name, weight))
    return twin


def test_the_teacher_is_the_average_of_all_weights_so_far(views, samples):
    model = build(momentum=0.7)
    trains = [n for n, w in model.named_parameters() if w.requires_grad]
    naive = None
    for step in range(4):
        losses = model(views, samples, mode='loss')
        own = {n: w.detach().clone() for n, w in model.named_parameters() if n in trains}
        naive = {n: own[n] if naive is None else 0.7 * naive[n] + 0.3 * own[n] for n in own}
        averages = model.head.dpt.teacher.averages()
        assert averages.keys() == {name for name in trains if not name.startswith('head.')}
        for name, average in averages.items():
            torch.testing.assert_close(average, naive[name])
        z_t = averaged(model, averages)(views[1]).detach()
        z = F.normalize(model.extract_feat(views[0]), dim=1)
        want = dpt_kl(model.head.logits(z), model.head.logits(z_t))
        torch.testing.assert_close(losses['loss_dpt'], want)
        move(model, step + 1)


@pytest.mark.parametrize(
    ('mode', 'distance'), [('l2', dpt_l2), ('cosine', dpt_cosine)], ids=['l2', 'cosine']
)
def test_embeddings_are_compared_with_the_teachers(views, samples, mode, distance):
    model = build(momentum=0.7, mode=mode)
    model(views, samples, mode='loss')
    move(model, 5)
    losses = model(views, samples, mode='loss')
    z_t = averaged(model, model.head.dpt.teacher.averages())(views[1])
    torch.testing.assert_close(losses['loss_dpt'], distance(model(views[0]), z_t))


def test_sampled_classes_are_the_teachers_too(views, samples):
    model = build(momentum=0.7, sample_rate=0.6, background='none')
    loss = model(views, samples, mode='loss')['loss_dpt']
    with torch.no_grad():
        model.head.proxies[[1, 3]] += 9.0  # all or most of what is not drawn: labels are 0, 2, 4
    torch.testing.assert_close(model(views, samples, mode='loss')['loss_dpt'], loss)


def test_no_gradient_passes_the_teacher_and_other_terms_are_as_without(views, samples):
    plain, averaging = build(momentum=None), build(momentum=0.9)
    averaging(views, samples, mode='loss')  # its average starts here
    for model in (plain, averaging):
        move(model, 7)
    terms = [model(views, samples, mode='loss') for model in (plain, averaging)]
    assert terms[0].keys() == terms[1].keys()
    for name, value in terms[0].items():
        assert torch.equal(value, terms[1][name]) == (name != 'loss_dpt')
    at_once = build(momentum=0.0)
    move(at_once, 7)
    torch.testing.assert_close(at_once(views, samples, mode='loss'), terms[0])
    assert not averaging.head.dpt.teacher.embed(averaging, views[1]).requires_grad
    for losses in terms:
        sum(value for name, value in losses.items() if name != 'loss_dpt').backward()
    for one, other in zip(plain.parameters(), averaging.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_norm_in_the_neck_sees_each_image_once(views, samples):
    neck = dict(type='LinearNeck', out_channels=8, norm_cfg=dict(type='BN1d'))
    models = [build(momentum, neck) for momentum in (None, 0.9)]
    for model in models:
        model(views, samples, mode='loss')
    for name, buffer in models[0].named_buffers():
        assert torch.equal(models[1].get_buffer(name), buffer), name


def test_evaluating_a_loss_leaves_the_average(views, samples):
    model = build(momentum=0.9)
    model(views, samples, mode='loss')
    before = {name: average.clone() for name, average in model.head.dpt.teacher.averages().items()}
    move(model, 1)
    model.eval()(views, samples, mode='loss')
    for name, average in model.head.dpt.teacher.averages().items():
        assert torch.equal(average, before[name])


@pytest.mark.parametrize('momentum', [-0.1, 1.0])
def test_a_momentum_out_of_range_is_named(momentum):
    with pytest.raises(ValueError, match=f'momentum.*{momentum}'):
        MovingTeacher(momentum)


def test_patches_of_one_image_are_refused(views, samples):
    model = build(momentum=0.9)
    for sample in samples:
        for name in ('object_patches', 'background_patches'):
            sample.set_field(torch.arange(3), name, field_type='metainfo')
        sample.set_field((2, 2), 'patch_grid', field_type='metainfo')
    with pytest.raises(ValueError, match='momentum.*TokenOPA'):
        model(views[0], samples, mode='loss')
