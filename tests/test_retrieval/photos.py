"""Folders of photographs, and a retriever on the tiny ViT."""

import cv2
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from tiny_data import ARCH, picture

from dva_mm.retrieval import Retriever

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]


def make_retriever(seed=0, **options):
    torch.manual_seed(seed)
    backbone = dict(type='FrozenViT', arch=ARCH, img_size=32, pretrained=False, tuning=None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='DVARetriever',
                backbone=backbone,
                data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
            )
        )
        return Retriever(model, PIPELINE, device='cpu', **options)


def write_photos(folder, count=12, classes=3):
    for number in range(count):
        label = number % classes
        file = folder / f'class_{label}' / f'{number:03d}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture(label, number)[0])
    return folder
