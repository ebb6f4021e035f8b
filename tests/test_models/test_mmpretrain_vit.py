import pytest
import timm
import torch
from mmpretrain.registry import MODELS
from timm.models import VisionTransformer

from dva_mm.models import FrozenViT


def build(arch, pretrained=False, **options):
    return FrozenViT(arch, pretrained, **{'img_size': 32, 'tuning': None, **options})


def test_timms_and_mmpretrains_vit_embed_alike_from_a_timm_file(
    timm_weights, mmpretrain_twin, save_weights, images
):
    file = save_weights(timm_weights)
    plain = timm.create_model('test_vit', img_size=32).eval()
    plain.load_state_dict(timm_weights, strict=True)
    plain.reset_classifier(0)
    for arch in ('test_vit', mmpretrain_twin):
        torch.testing.assert_close(build(arch, file)(images)[0], plain(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize('wrapped', ['bare', 'model', 'state_dict', 'classifier'])
def test_mmpretrain_files(wrapped, mmpretrain_arch, save_weights, randomised):
    want = randomised(build(mmpretrain_arch).host.state_dict())
    checkpoint = want
    if wrapped == 'classifier':
        names = {f'backbone.{name}': tensor for name, tensor in want.items()}
        head = {'head.layers.head.weight': torch.zeros(5, 32), 'data_preprocessor.mean': 1}
        checkpoint = dict(state_dict={**names, **head}, meta=dict(epoch=3))
    elif wrapped != 'bare':
        checkpoint = {wrapped: want}
    got = build(mmpretrain_arch, save_weights(checkpoint, 'vit.pth')).host.state_dict()
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], tensor) for name, tensor in want.items())


@pytest.mark.parametrize(
    ('theirs', 'ours', 'name'),
    [
        (dict(init_values=1e-5), dict(layer_scale_init_value=1e-5), 'blocks.1.ls2.gamma'),
        (dict(pre_norm=True), dict(pre_norm=True), 'norm_pre.weight'),
    ],
    ids=['layer scale, as DINOv2', 'norm before the blocks, as CLIP'],
)
def test_optional_parts_map_to_mmpretrains_names(
    theirs, ours, name, mmpretrain_twin, save_weights, randomised, images
):
    shape = dict(img_size=32, patch_size=16, embed_dim=64, depth=2, num_heads=2, mlp_ratio=3)
    plain = VisionTransformer(num_classes=0, **shape, **theirs).eval()
    state = randomised(plain.state_dict())
    assert name in state
    plain.load_state_dict(state)
    mmpretrain_twin['arch']['num_layers'] = 2
    encoder = build({**mmpretrain_twin, **ours}, save_weights(state))
    torch.testing.assert_close(encoder(images)[0], plain(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('config', 'options', 'word'),
    [
        (dict(type='BEiTViT'), {}, "'BEiTViT'"),
        (dict(with_cls_token=False), {}, "pooling='avg'"),
        (dict(with_cls_token=False), dict(pooling='cls+avg'), "pooling='avg'"),
        ({}, dict(pooling='map'), 'attention pooling'),
        ({}, dict(pretrained=True), 'model.backbone.pretrained'),  # there is no hub
        ({}, dict(grad_checkpointing=True), 'grad_checkpointing'),
    ],
)
def test_what_will_not_do_is_named(config, options, word, mmpretrain_arch):
    with pytest.raises(ValueError) as error:
        build({**mmpretrain_arch, **config}, **options)
    assert word in str(error.value)


def test_a_vit_without_class_token_pools(mmpretrain_arch, images):
    mmpretrain_arch['with_cls_token'] = False
    encoder = build(mmpretrain_arch, pooling='avg')
    host = MODELS.build({**mmpretrain_arch, 'out_type': 'raw'})
    host.load_state_dict(encoder.host.state_dict())
    host.eval()
    torch.testing.assert_close(encoder(images)[0], host(images)[-1].mean(dim=1))
