import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from dva_mm.models import DVARetriever


@pytest.fixture
def config(mmpretrain_arch):
    backbone = dict(type='FrozenViT', arch=mmpretrain_arch, pretrained=False, ica=dict(rank=2))
    head = dict(type='DVAHead', num_classes=5)
    return dict(type='DVARetriever', backbone=backbone, head=head)


@pytest.fixture
def model(config):
    return MODELS.build(config)


@pytest.fixture
def views(images):
    return [images, images.flip(-1), images.roll(5, dims=-1)]


@pytest.fixture
def samples():
    return [DataSample().set_gt_label(label) for label in (4, 0, 2)]


def watch(model) -> list[Tensor]:
    """The batches that the encoder will be called with."""
    batches: list[Tensor] = []
    model.backbone.register_forward_hook(lambda _module, args, _out: batches.append(args[0]))
    return batches


@pytest.fixture
def seen(model):
    return watch(model)


def test_all_views_go_through_one_forward(model, views, samples, seen):
    losses = model(views, samples, mode='loss')
    (batch,) = seen
    assert torch.equal(batch, torch.cat(views))
    labels = torch.tensor([4, 0, 2])
    z, z_d, z_b = (model.embed(view) for view in views)
    want = model.head.loss(z, labels, z_d, z_b, labels)
    assert losses.keys() == want.keys() and len(want) == 4
    for name, value in want.items():
        torch.testing.assert_close(losses[name], value)


def test_images_without_background_are_left_out(config, views, samples):
    config['head']['background'] = 'class'
    model = MODELS.build(config)
    batches = watch(model)
    for sample, has_background in zip(samples, (True, False, True), strict=True):
        sample.set_field(has_background, 'has_background', field_type='metainfo')
    losses = model(views, samples, mode='loss')
    original, discriminative, background = views
    assert torch.equal(batches[0], torch.cat((original, discriminative, background[[0, 2]])))
    labels = torch.tensor([4, 0, 2])
    want = model.head.loss(
        model.embed(original),
        labels,
        model.embed(discriminative),
        model.embed(background[[0, 2]]),
        labels[[0, 2]],
    )
    for name, value in want.items():
        torch.testing.assert_close(losses[name], value)


def test_no_background_at_all(model, views, samples, seen):
    for sample in samples:
        sample.set_field(False, 'has_background', field_type='metainfo')
    losses = model(views, samples, mode='loss')
    assert seen[0].shape[0] == 6
    assert losses['loss_background'] == 0 and losses['loss_proxy'] > 0


def test_a_head_that_ignores_backgrounds_costs_no_forward_of_them(config, views, samples):
    config['head']['background'] = 'none'
    model = MODELS.build(config)
    batches = watch(model)
    losses = model(views, samples, mode='loss')
    assert [len(batch) for batch in batches] == [6]
    assert sorted(losses) == ['loss_discriminative', 'loss_dpt', 'loss_proxy']


def test_one_view_trains_on_the_proxy_loss_alone(model, images, samples, seen):
    losses = model(images, samples, mode='loss')
    assert list(losses) == ['loss_proxy'] and [len(batch) for batch in seen] == [3]


@pytest.mark.parametrize('as_list', [True, False])
def test_predict_embeds_the_original_alone(as_list, model, views, samples, seen):
    got = model(views if as_list else views[0], samples, mode='predict')
    assert [len(batch) for batch in seen] == [3]
    assert all(sample is given for sample, given in zip(got, samples, strict=True))
    (raw,) = model.backbone(views[0])
    for sample, embedding in zip(got, raw, strict=True):
        assert sample.embedding.norm().item() == pytest.approx(1)
        torch.testing.assert_close(sample.embedding, embedding / embedding.norm())
        assert sample.gt_label is not None


def test_predict_makes_samples_where_none_are_given(model, images):
    got = model(images, mode='predict')
    assert [sample.embedding.shape for sample in got] == [(32,)] * 3


def test_predict_refuses_another_number_of_samples(model, images, samples):
    with pytest.raises(ValueError):
        model(images, samples[:2], mode='predict')


def test_tensor_mode_gives_unit_embeddings_of_the_original(model, views, seen):
    got = model(views)
    assert got.shape == (3, 32) and len(seen) == 1
    torch.testing.assert_close(got, torch.stack([s.embedding for s in model.predict(views[0])]))


def test_test_step_normalises_as_the_preprocessor_says(config):
    config['data_preprocessor'] = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 3.0], to_rgb=True)
    model = MODELS.build(config)
    bgr = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=bgr, data_samples=[DataSample(), DataSample()])
    rgb = bgr.flip(1).float()
    scaled = torch.stack([(rgb[:, i] - mean) / (i + 1) for i, mean in enumerate((10, 20, 30))], 1)
    with torch.no_grad():
        want = model(scaled)
        got = torch.stack([sample.embedding for sample in model.test_step(data)])
    torch.testing.assert_close(got, want)


def test_the_neck_stands_between_encoder_and_head(config, images):
    neck = dict(type='LinearNeck', in_channels=32, out_channels=7, gap_dim=0)
    model = MODELS.build({**config, 'neck': neck})
    assert model.head.proxies.shape == (6, 7)
    torch.testing.assert_close(model.embed(images), model.neck(model.backbone(images))[-1])
    assert model(images).shape == (3, 7)


def test_head_takes_its_width_from_the_encoder(model):
    assert model.head.proxies.shape == (6, 32)


def test_embeddings_are_float32_under_autocast(config, images):
    neck = dict(type='LinearNeck', in_channels=32, out_channels=7, gap_dim=0)
    model = MODELS.build({**config, 'neck': neck})
    with torch.autocast('cpu', torch.bfloat16):
        assert model.embed(images).dtype == torch.bfloat16  # a Linear comes last
        (sample, *_), embeddings = model.predict(images), model(images)
    assert sample.embedding.dtype == embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


def test_losses_are_float32_under_autocast(model, views, samples):
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(views, samples, mode='loss')
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_mistakes_are_named(config, model, images, samples):
    with pytest.raises(ValueError, match="'tensor', 'predict' or 'loss', got 'train'"):
        model(images, mode='train')
    with pytest.raises(ValueError, match=r'one view or on three .*got 2'):
        model([images, images], samples, mode='loss')
    del config['head']
    with pytest.raises(ValueError, match=r'no head to train; set model\.head'):
        MODELS.build(config)(images, samples, mode='loss')


def test_a_model_without_head_embeds(config, images):
    model = DVARetriever(config['backbone'])
    assert model.head is None and model(images).shape == (3, 32)
