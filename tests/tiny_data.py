"""Tiny data sets with known pixels, and a config that trains on them in seconds."""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from dva_mm.models import FrozenViT

HEIGHT, WIDTH = 40, 48
ARCH = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64),
    patch_size=8,
)


def picture(label: int, index: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A grey noisy scene, (H, W, 3) BGR, and the xyxy box of a rectangle in its class's colour."""
    rng = np.random.default_rng((label, index))
    image = rng.integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    x1, y1 = (int(value) for value in rng.integers(4, 16, 2))
    x2, y2 = x1 + int(rng.integers(12, 24)), y1 + int(rng.integers(10, 20))
    image[y1:y2, x1:x2] = (40 * label % 256, (70 + 110 * label) % 256, 255 - 25 * label)
    return image, (x1, y1, x2, y2)


def write_cub(root: Path, num_classes: int = 6, images_per_class: int = 6) -> Path:
    """A data set in CUB-200-2011's format; the first half of each class's images is 'train'."""
    tables = {name: [] for name in ('images', 'labels', 'split', 'boxes')}
    for label in range(num_classes):
        for index in range(images_per_class):
            image, (x1, y1, x2, y2) = picture(label, index)
            file = f'{label + 1:03d}.Class_{label + 1}/{index}.png'
            (root / 'images' / file).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / 'images' / file), image)
            number = label * images_per_class + index + 1
            tables['images'].append(f'{number} {file}')
            tables['labels'].append(f'{number} {label + 1}')
            tables['split'].append(f'{number} {int(index < images_per_class / 2)}')
            tables['boxes'].append(f'{number} {x1}.0 {y1}.0 {x2 - x1}.0 {y2 - y1}.0')
    classes = [f'{label + 1} {label + 1:03d}.Class_{label + 1}' for label in range(num_classes)]
    for file, lines in (
        ('images.txt', tables['images']),
        ('image_class_labels.txt', tables['labels']),
        ('train_test_split.txt', tables['split']),
        ('bounding_boxes.txt', tables['boxes']),
        ('classes.txt', classes),
    ):
        (root / file).write_text('\n'.join(lines) + '\n')
    return root


def write_folder(root: Path, images: dict[str, int]) -> Path:
    """One sub-folder a class, with so many images."""
    for label, (name, count) in enumerate(images.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(str(root / name / f'{index}.png'), picture(label, index)[0])
    return root


def write_weights(path: Path, seed: int = 0) -> Path:
    """'Pre-trained' weights of the tiny ViT."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = FrozenViT(ARCH, img_size=32, pretrained=False, tuning=None)
    state = encoder.host.state_dict()
    for name in state:  # sharp attention, so that the adapters of Q and K change what is embedded
        if 'attn' in name:
            state[name] *= 10
    save_file(state, path)
    return path


def write_config(path: Path, data_root: Path, weights: Path) -> Path:
    """A config of DVA on the tiny ViT: 3 views, 3 epochs of 3 iterations, evaluated each epoch."""
    path.write_text(f"""\
_base_ = ['dva_mm::_base_/schedules/adam_cosine_30e.py', 'dva_mm::_base_/default_runtime.py']
model = dict(
    type='DVARetriever',
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(
        type='FrozenViT',
        arch={ARCH!r},
        img_size=32,
        pretrained={str(weights)!r},
        tuning=dict(type='ICA', rank=4),
    ),
    head=dict(type='DVAHead', num_classes=None),
)
view = [dict(type='RandomCrop', crop_size=32), dict(type='RandomFlip', prob=0.5)]
small = [dict(type='Resize', scale=(32, 32)), dict(type='RandomFlip', prob=0.5)]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='OPA', original=view, discriminative=small),
    dict(type='PackInputs', algorithm_keys=('has_background',)),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
dataset = dict(
    type='FineGrainedDataset',
    data_root={str(data_root)!r},
    reader='cub',
    serialize_data=False,  # spares the tests a gc.collect() for each data set
)
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, **dataset),
)
val_evaluator = dict(type='RetrievalMetric', topk=(1, 2, 4, 8))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=0.1))  # each epoch shall change the figures
train_cfg = dict(max_epochs=3, val_interval=1)
""")
    return path
