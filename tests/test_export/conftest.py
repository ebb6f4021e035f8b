"""Tiny retrievers of every kind, their exported files, and pictures."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from tiny_data import ARCH, picture
from tiny_vits import TINY

from dva_mm.export import export
from dva_mm.retrieval import Retriever

PIPELINE = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=36),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
TUNINGS = dict(
    none=None,
    ica=dict(type='ICA', rank=4),
    linear=dict(type='ICA', rank=4, act=None),
    lora=dict(type='LoRA', rank=2),
    vpt=dict(type='VPTShallow', num_tokens=3),
    vpt_deep=dict(type='VPTDeep', num_tokens=3),
    adaptformer=dict(type='AdaptFormer', bottleneck=4),
    full=dict(type='Full'),
)


@pytest.fixture(scope='session')
def make(tmp_path_factory):
    """A retriever by its host, 'timm' or 'mmpretrain', and its tuning, with weights all drawn."""
    folder = tmp_path_factory.mktemp('timm')
    options = dict(architecture='vit_tiny_patch16_224', num_classes=0, model_args=TINY)
    (folder / 'config.json').write_text(json.dumps({**options, 'pretrained_cfg': {}}))
    hosts = dict(timm=f'local-dir:{folder}', mmpretrain=ARCH)

    def make(host='mmpretrain', tuning='ica', pipeline=PIPELINE, neck=None, **encoder):
        torch.manual_seed(1)
        backbone = dict(arch=hosts[host], img_size=32, pretrained=False, tuning=TUNINGS[tuning])
        preprocessor = dict(mean=[120.0, 110.0, 100.0], std=[58.0, 57.0, 56.0], to_rgb=True)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(
                dict(
                    type='DVARetriever',
                    backbone=dict(type='FrozenViT', **backbone, **encoder),
                    neck=neck,
                    data_preprocessor=preprocessor,
                )
            )
            for parameter in model.parameters():
                parameter.data += 0.05 * torch.randn_like(parameter)
            return Retriever(model, pipeline, device='cpu', name=f'{host} {tuning}')

    return make


@pytest.fixture(scope='session')
def exported(make, tmp_path_factory):
    """The path of an exported file, and the retriever it was made of; made once."""
    folder, made = tmp_path_factory.mktemp('exported'), {}

    def get(suffix='.onnx', precision='fp32', host='mmpretrain', tuning='ica'):
        path = folder / f'{host}-{tuning}-{precision}{suffix}'
        if path not in made:
            made[path] = make(host, tuning)
            export(made[path], path, precision)
        return path, made[path]

    return get


@pytest.fixture
def photos(tmp_path):
    for number in range(7):
        file = tmp_path / 'photos' / f'class_{number % 3}' / f'{number}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), cv2.resize(picture(number % 3, number)[0], (90, 70)))
    return tmp_path / 'photos'


@pytest.fixture
def encode(photos):
    """Embeddings of the photographs, by batches of 3, 3 and 1."""

    def encode(retriever, **options):
        rows = retriever.encode(photos, batch_size=3, progress=False, **{'workers': 0, **options})
        assert rows.dtype == np.float32 and rows.shape == (7, retriever.dims)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        return rows

    return encode
