from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain import FeatureExtractor, get_model
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from no_waiting import Watch
from torch import Tensor

from dva_mm.models import DVARetriever

TERMS = ('loss_proxy', 'loss_discriminative', 'loss_dpt', 'loss_background')


@pytest.fixture
def config(mmpretrain_arch):
    backbone = dict(type='FrozenViT', arch=mmpretrain_arch, pretrained=False)
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


@pytest.mark.parametrize(
    ('background', 'kept'), [('class', [0, 1, 2]), ('class', [0, 2]), ('proxy', []), ('none', [])]
)
def test_views_with_their_backgrounds_go_through_one_forward(
    config, views, samples, background, kept
):
    config['head']['background'] = background
    model = MODELS.build(config)
    batches = watch(model)
    for index, sample in enumerate(samples):
        has_background = index in kept or background == 'none'  # a head that ignores them
        sample.set_field(has_background, 'has_background', field_type='metainfo')
    losses = model(views, samples, mode='loss')
    original, discriminative, backgrounds = views
    (batch,) = batches
    assert torch.equal(batch, torch.cat((original, discriminative, backgrounds[kept])))
    labels = torch.tensor([4, 0, 2])
    z, z_d = model.extract_feat(original), model.extract_feat(discriminative)
    z_b = model.extract_feat(backgrounds)[kept]
    want = model.head.loss(z, labels, z_d, z_b, labels[kept])
    assert losses.keys() == want.keys() and len(want) == (3 if background == 'none' else 4)
    torch.testing.assert_close(losses, want)
    batches.clear()
    assert list(model(original, samples, mode='loss')) == ['loss_proxy']
    assert [len(batch) for batch in batches] == [3]


def test_swapped_backgrounds_go_into_the_original_view_alone(config, views, samples):
    model = MODELS.build({**config, 'background_swap': 1.0})
    batches = watch(model)
    boxes = [(4.0, 4.0, 20.0, 12.0), None, (0.0, 8.0, 9.0, 30.0)]
    for sample, box, has_background in zip(samples, boxes, (False, True, False), strict=True):
        sample.set_field(box, 'box')
        sample.set_field(has_background, 'has_background', field_type='metainfo')
    model(views, samples, mode='loss')
    (batch,) = batches
    original, discriminative, background = batch.split([3, 3, 1])
    want = views[2][[1]].repeat(3, 1, 1, 1)  # the one background that there is
    want[0, :, 4:12, 4:20] = views[0][0, :, 4:12, 4:20]
    want[1] = views[0][1]
    want[2, :, 8:30, 0:9] = views[0][2, :, 8:30, 0:9]
    assert torch.equal(original, want)
    assert torch.equal(discriminative, views[1]) and torch.equal(background, views[2][[1]])


@pytest.mark.parametrize('as_list', [True, False])
def test_predict_embeds_the_original_alone(as_list, model, views, samples):
    seen = watch(model)
    got = model(views if as_list else views[0], samples, mode='predict')
    assert [len(batch) for batch in seen] == [3]
    assert all(sample is given for sample, given in zip(got, samples, strict=True))
    (raw,) = model.backbone(views[0])
    embeddings = torch.stack([sample.embedding for sample in got])
    torch.testing.assert_close(embeddings, raw / raw.norm(dim=1, keepdim=True))
    assert torch.equal(model(views), embeddings)
    assert [sample.embedding.shape for sample in model(views, mode='predict')] == [(32,)] * 3
    with pytest.raises(ValueError):
        model(views[0], samples[:2], mode='predict')


@pytest.mark.parametrize('left_out', [0, 1])
@pytest.mark.parametrize('same_size', [True, False])
def test_a_step_reads_nothing_from_the_device(config, left_out, same_size, monkeypatch):
    """Meta tensors have no values that could be read."""
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # knows no 'meta'
    config['data_preprocessor'] = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
    model = MODELS.build(config).to('meta')
    sides = [32, 32 if same_size else 16, 32]
    pixels = [torch.zeros(3, 3, side, side, dtype=torch.uint8, device='meta') for side in sides]
    samples = [DataSample().set_gt_label(label).to('meta') for label in (4, 0, 2)]
    samples[0].set_field(not left_out, 'has_background')
    with Watch() as waits:
        batch = model.data_preprocessor(dict(inputs=pixels, data_samples=samples), training=True)
        loss, terms = model.parse_losses(model(**batch, mode='loss'))
        loss.backward()
    assert set(terms) == {'loss', *TERMS}
    assert model.head.proxies.grad.is_meta and not waits.found


@pytest.mark.parametrize('label', [5, -1])
def test_a_label_that_is_no_class_is_refused_before_it_is_copied(config, images, label):
    model = MODELS.build(config).to('meta')
    samples = [DataSample().set_gt_label(label) for _ in images]
    with pytest.raises(ValueError, match=str(label)):
        model.train_step(dict(inputs=images, data_samples=samples), None)


def test_test_step_normalises_as_the_preprocessor_says(config):
    config['data_preprocessor'] = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 3.0], to_rgb=True)
    model = MODELS.build(config)
    bgr = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    rgb = bgr.flip(1).float()
    scaled = torch.stack([(rgb[:, i] - mean) / (i + 1) for i, mean in enumerate((10, 20, 30))], 1)
    got = model.test_step(dict(inputs=bgr, data_samples=[DataSample(), DataSample()]))
    torch.testing.assert_close(torch.stack([sample.embedding for sample in got]), model(scaled))


def test_the_neck_stands_between_encoder_and_head(config, images):
    model = MODELS.build({**config, 'neck': dict(type='LinearNeck', out_channels=7)})
    assert model.neck.fc.weight.shape == (7, 32) and model.head.proxies.shape == (6, 7)
    (raw,) = model.extract_feat(images, stage='backbone')
    assert torch.equal(raw, model.backbone(images)[0])
    model.train(False)
    assert torch.equal(model.extract_feat(images), model.neck((raw,))[-1])
    assert model(images).shape == (3, 7)


def test_embeddings_and_losses_are_float32_under_autocast(config, images, views, samples):
    neck = dict(type='LinearNeck', out_channels=7, norm_cfg=None)
    model = MODELS.build({**config, 'neck': neck})
    with torch.autocast('cpu', torch.bfloat16):
        assert model.extract_feat(images).dtype == torch.bfloat16  # a Linear comes last
        (sample, *_), embeddings = model.predict(images), model(images)
        losses = model(views, samples, mode='loss')
    assert sample.embedding.dtype == embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    assert {value.dtype for value in losses.values()} == {torch.float32}


VIT = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64),
    patch_size=8,
    img_size=(32, 48),
)
GAP = dict(type='GlobalAveragePooling')
POOLED = dict(type='LinearNeck', out_channels=5, gap_dim=2)
SWIN = dict(embed_dims=24, depths=[1, 1], num_heads=[1, 2])


@pytest.mark.parametrize(
    ('backbone', 'neck', 'size', 'width'),
    [
        (VIT, None, (32, 48), 32),
        (VIT, dict(type='LinearNeck', out_channels=5, norm_cfg=None), (32, 48), 5),
        (dict(type='ResNet', depth=18), GAP, (64, 64), 512),
        (dict(type='ResNet', depth=18), POOLED, (64, 64), 5),
        (dict(type='TIMMBackbone', model_name='test_resnet'), GAP, (64, 64), 96),
        # Its embed_dims is the width of the first stage alone.
        (dict(type='SwinTransformer', arch=SWIN, out_indices=(1,)), GAP, (224, 224), 48),
    ],
)
def test_mmpretrains_own_backbones_train(backbone, neck, size, width):
    model = DVARetriever(backbone, head=dict(type='DVAHead', num_classes=5), neck=neck)
    assert model.head.proxies.shape == (6, width) and model.backbone.training
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    before = {name: p.clone() for name, p in model.named_parameters()}
    view = torch.randint(0, 256, (4, 3, *size), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in (4, 0, 2, 1)]
    losses = model.train_step(dict(inputs=[view] * 3, data_samples=samples), wrapper)
    assert losses['loss'].isfinite()
    moved = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert {next(iter(before)), 'head.proxies'} <= set(moved)  # from the first layer to the last


def test_an_encoder_whose_width_no_forward_tells_takes_it_from_the_config():
    backbone = dict(type='TIMMBackbone', model_name='test_vit', img_size=32)
    with pytest.raises(ValueError, match='in_channels'):
        DVARetriever(backbone, head=dict(type='DVAHead', num_classes=5), neck=GAP)
    head = dict(type='DVAHead', num_classes=5, in_channels=64)
    assert DVARetriever(backbone, head=head, neck=GAP).head.proxies.shape == (6, 64)


def test_mistakes_are_named(config, model, images, samples):
    with pytest.raises(ValueError, match="'train'"):
        model(images, mode='train')
    with pytest.raises(ValueError, match="'pre_logits'"):
        model.extract_feat(images, stage='pre_logits')
    with pytest.raises(ValueError, match='got 2'):
        model([images, images], samples, mode='loss')
    with pytest.raises(ValueError, match=r'model\.head'):
        MODELS.build({**config, 'head': None})(images, samples, mode='loss')
    with pytest.raises(ValueError, match=r'background_swap.*1\.5'):
        MODELS.build({**config, 'background_swap': 1.5})
    with pytest.raises(ValueError, match="'box'"):
        MODELS.build({**config, 'background_swap': 0.5})([images] * 3, samples, mode='loss')
    with pytest.raises(ValueError, match='GlobalAveragePooling'):  # a map, and no neck
        MODELS.build({**config, 'backbone': dict(type='ResNet', depth=18)})(images)


@pytest.mark.parametrize('num_classes', [5, None])
def test_mmpretrains_feature_extractor(config, tmp_path, num_classes):
    """From a config file and a checkpoint, as its users call it."""
    file, checkpoint, image_file = (str(tmp_path / f'tiny.{end}') for end in ('py', 'pth', 'png'))
    config['head']['num_classes'] = num_classes
    config['data_preprocessor'] = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
    resize = dict(type='Resize', scale=(32, 32), backend='pillow')
    pipeline = [dict(type='LoadImage'), resize, dict(type='PackInputs')]
    dataset = dict(type='FineGrainedDataset', pipeline=pipeline)
    imports = dict(imports=['dva_mm'], allow_failed_imports=False)
    loader = dict(dataset=dataset)
    Config(dict(custom_imports=imports, model=config, test_dataloader=loader)).dump(file)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    cv2.imwrite(image_file, image)
    model = get_model(file)
    assert (model.head is None) == (num_classes is None)  # it waits for the count
    for name, parameter in model.backbone.named_parameters():
        if '_up' in name:
            torch.nn.init.normal_(parameter)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    extract = FeatureExtractor(file, checkpoint)
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1).float()
    want = model.extract_feat(((rgb - 127.5) / 127.5)[None])[0]
    for got in (extract(image_file), extract(image), *extract(image_file, stage='backbone')):
        torch.testing.assert_close(got[0], want)
