"""Where the tests of a GPU run: on CUDA, or on what ``DVA_TEST_DEVICE`` names."""

import copy
import os

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

DEVICE = os.environ.get('DVA_TEST_DEVICE', 'cuda')
ON_GPU = DEVICE == 'cuda'
marks = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason='torch sees no GPU'),
]
needs_gpu = pytest.mark.skipif(not ON_GPU, reason='shows something on CUDA alone')


def make_model(tuning: str = 'ICA', head: dict | None = None, **backbone):
    torch.manual_seed(0)
    encoder = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    encoder |= dict(tuning=dict(type=tuning), **backbone)
    head = {'type': 'DVAHead', 'num_classes': 4, **(head or {})}
    model = MODELS.build(dict(type='DVARetriever', backbone=encoder, head=head))
    for name, parameter in model.backbone.named_parameters():
        if '_up.' in name:  # from zero, nothing below would get a gradient
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def make_batch(device: str, views: int = 3):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(16, 3, 32, 32, generator=generator).to(device) for _ in range(views)]
    samples = [DataSample().set_gt_label(i % 4).to(device) for i in range(16)]
    return images if views > 1 else images[0], samples


def step(model, device: str, dtype: torch.dtype | None = None, views: int = 3):
    """Losses, and gradients on the CPU, of one step of a copy."""
    model = copy.deepcopy(model).to(device).train()
    model.autocast_dtype = dtype
    losses = model.loss(*make_batch(device, views))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    found = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    return {n: value.detach() for n, value in losses.items() if 'loss' in n}, found


def cosine(one: dict, other: dict) -> float:
    """Of two sets of gradients, each as one vector."""
    assert one.keys() == other.keys()
    flat = [torch.cat([gradients[name].flatten() for name in one]) for gradients in (one, other)]
    return torch.cosine_similarity(*flat, dim=0).item()
