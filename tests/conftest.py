"""Tiny encoders and the files of their weights."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from mmengine.logging import MMLogger
from safetensors.torch import save_file
from tiny_vits import FAMILIES, TINY
from torch import Tensor

IMG_SIZE = 32
TIMM_ARCH = 'test_vit'  # 6 blocks of width 64, 2 heads
# Other widths than the timm host's, and all the random behaviour that a frozen host must not show.
MMPRETRAIN_ARCH = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64),
    patch_size=8,
    img_size=IMG_SIZE,
    drop_rate=0.3,
    drop_path_rate=0.3,
)
MMPRETRAIN_TWIN = dict(
    type='VisionTransformer',
    arch=dict(embed_dims=64, num_layers=6, num_heads=2, feedforward_channels=192),
    patch_size=16,
    img_size=IMG_SIZE,
)


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_closed_logs() -> None:
    """Forget log files that a library closed: pymilvus and uvicorn close all that are open."""
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers[:]:
            if isinstance(handler, logging.FileHandler) and handler.stream is None:
                logger.removeHandler(handler)


@pytest.fixture(autouse=True, scope='session')
def _one_thread() -> None:
    torch.set_num_threads(1)  # on tensors this small, threads only wait for one another


@pytest.fixture
def mmpretrain_arch() -> dict:
    """A tiny mmpretrain host with dropout and drop-path."""
    return copy.deepcopy(MMPRETRAIN_ARCH)


@pytest.fixture
def mmpretrain_twin() -> dict:
    """The mmpretrain host of the timm host's shape."""
    return copy.deepcopy(MMPRETRAIN_TWIN)


@pytest.fixture(params=['timm', 'mmpretrain'])
def arch(request: pytest.FixtureRequest, mmpretrain_arch: dict) -> str | dict:
    """Either kind of host."""
    return TIMM_ARCH if request.param == 'timm' else mmpretrain_arch


@pytest.fixture
def tiny_vit(tmp_path: Path) -> Callable[..., str]:
    """Write a folder that timm reads as a tiny ViT of a family; returns FrozenViT's ``arch``."""

    def write(family: str) -> str:
        folder = tmp_path / family
        folder.mkdir(exist_ok=True)
        config = dict(architecture=FAMILIES.get(family, family), num_classes=0, model_args=TINY)
        (folder / 'config.json').write_text(json.dumps({**config, 'pretrained_cfg': {}}))
        return f'local-dir:{folder}'

    return write


@pytest.fixture(scope='session')
def randomised() -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Put noise on every tensor, so that none can be missing or swapped unnoticed."""

    def randomise(state: dict[str, Tensor]) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(1)
        return {n: t + 0.1 * torch.randn(t.shape, generator=noise) for n, t in state.items()}

    return randomise


@pytest.fixture(scope='session')
def timm_weights(randomised: Callable) -> dict[str, Tensor]:
    """Weights of the timm host with a classifier, as a pre-trained file has one."""
    return randomised(timm.create_model(TIMM_ARCH, img_size=IMG_SIZE).state_dict())


@pytest.fixture
def save_weights(tmp_path: Path) -> Callable[[dict, str], str]:
    """Write a state dict (or any checkpoint) under a name; the suffix decides the format."""

    def save(state: dict, name: str = 'vit.safetensors') -> str:
        path = tmp_path / name
        save_file(state, path) if path.suffix == '.safetensors' else torch.save(state, path)
        return str(path)

    return save


@pytest.fixture
def images() -> Tensor:
    """Three images at the tiny hosts' size."""
    return torch.randn(3, 3, IMG_SIZE, IMG_SIZE, generator=torch.Generator().manual_seed(2))
