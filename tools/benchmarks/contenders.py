"""What tools/benchmark_train.py compares: models with random weights, and a forward of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import timm
import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from dva_mm.datasets import TokenOPA
from dva_mm.models import DVARetriever, FrozenViT

CLASSES = 100
Samples = list[DataSample]


def moved(model: nn.Module) -> nn.Module:
    for name, parameter in model.named_parameters():
        if any(part in name for part in ('_up.', '.up.', 'lora_B')):  # no longer zero
            nn.init.normal_(parameter, std=0.01)
    return model


def frozen(arch: str, size: int, tuning: dict | None) -> nn.Module:
    return moved(FrozenViT(arch, pretrained=False, img_size=size, tuning=tuning))


def plain_timm(arch: str, size: int) -> nn.Module:
    return timm.create_model(arch, num_classes=0, img_size=size)


def mmpretrain_lora(arch: str, size: int) -> nn.Module:
    vit = plain_timm(arch, size)
    shape = dict(
        embed_dims=vit.embed_dim,
        num_layers=len(vit.blocks),
        num_heads=vit.blocks[0].attn.num_heads,
        feedforward_channels=vit.blocks[0].mlp.fc1.out_features,
    )
    patch = vit.patch_embed.patch_size[0]
    module = dict(type='VisionTransformer', arch=shape, img_size=size, patch_size=patch)
    config = dict(type='LoRAModel', module=module, rank=16, alpha=16, targets=[dict(type='qkv')])
    return moved(MODELS.build(config))


def retriever(arch: str, size: int) -> nn.Module:
    backbone = dict(type='FrozenViT', arch=arch, pretrained=False, img_size=size)
    return moved(DVARetriever(backbone, head=dict(type='DVAHead', num_classes=CLASSES)))


def no_samples(model: nn.Module, images: Tensor) -> None:
    return None


def labels(model: nn.Module, images: Tensor) -> Samples:
    return [DataSample().set_gt_label(i % CLASSES).to(images.device) for i in range(len(images))]


def tokens(model: DVARetriever, images: Tensor) -> Samples:
    """Labels, and what token-level OPA chooses of a box in the middle."""
    side = images.shape[-1]
    opa = TokenOPA(size=side, patch_size=model.backbone.patch_size)
    blank, samples = np.zeros((*images.shape[-2:], 3), np.uint8), []
    for sample in labels(model, images):
        chosen = opa(dict(img=blank, box=[side * x for x in (0.2, 0.2, 0.8, 0.8)]))
        for name in ('object_patches', 'background_patches', 'patch_grid'):
            sample.set_field(chosen[name], name)
        samples.append(sample.to(images.device))
    return samples


def embed(encoder: nn.Module, images: Tensor) -> Tensor:
    out = encoder(images)
    return out[-1] if isinstance(out, list | tuple) else out


def no_graph(model: nn.Module, images: Tensor, samples: None) -> None:
    with torch.no_grad():
        embed(model, images)


def to_weights(model: nn.Module, images: Tensor, samples: None) -> Tensor:
    return embed(model, images).float().square().sum()


def to_inputs(model: nn.Module, images: Tensor, samples: None) -> Tensor:
    return to_weights(model, images.requires_grad_(), samples)


def three_times(model: nn.Module, images: Tensor, samples: None) -> Tensor:
    return to_weights(model, images.repeat(3, 1, 1, 1), samples)


def dva(model: DVARetriever, images: Tensor, samples: Samples) -> Tensor:
    return sum(model.loss([images] * 3, samples).values())


def by_tokens(model: DVARetriever, images: Tensor, samples: Samples) -> Tensor:
    return sum(model.loss(images, samples).values())


@dataclass
class Contender:
    """What is built, its forward, and the data samples that it takes, which are made once.

    The forward gives the loss, or None where there is no backward.
    """

    title: str
    build: Callable[[str, int], nn.Module]
    forward: Callable[[nn.Module, Tensor, Samples | None], Tensor | None]
    samples: Callable[[nn.Module, Tensor], Samples | None] = no_samples


def tuned(title: str, forward: Callable = to_weights, **tuning: object) -> Contender:
    return Contender(title, lambda arch, size: frozen(arch, size, tuning or None), forward)


CONTENDERS = dict(
    timm=Contender('timm, forward', lambda arch, size: plain_timm(arch, size).eval(), no_graph),
    bare=tuned('bare encoder, forward', no_graph),
    ica_forward=tuned('ICA, forward', no_graph, type='ICA'),
    floor=tuned('floor: to the inputs', to_inputs),
    ica=tuned('ICA', type='ICA'),
    dva=Contender('DVA, three views', retriever, dva, labels),
    tokens=Contender('DVA, token-level OPA', retriever, by_tokens, tokens),
    ica_3=tuned('ICA, images of three views', three_times, type='ICA'),
    lora=tuned('LoRA r=16, peft', type='LoRA', rank=16),
    mmpretrain=Contender('LoRA r=16, LoRAModel', mmpretrain_lora, to_weights),
    adaptformer=tuned('AdaptFormer', type='AdaptFormer'),
    full=tuned('full fine-tuning', type='Full'),
    full_3=tuned('full, images of three views', three_times, type='Full'),
)
