"""What the encoder's sources share: an image in, its map's box in its own pixels out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from dva_mm.detection.encoder_maps import EncoderMaps, to_grid
from dva_mm.models import FrozenViT

RGB = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 4.0], to_rgb=True)
ENCODER = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_encoder_sees_the_square_image_as_in_training(tmp_path: Path, to_rgb: bool):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)  # B, G, R
    seen = {}

    def saliency(encoder: FrozenViT, images: Tensor) -> Tensor:
        seen['images'] = images
        return torch.ones(len(images), 4, 4)

    options = {**RGB, 'to_rgb': to_rgb}
    cv2.imwrite(str(tmp_path / 'a.png'), pixels)
    maps = EncoderMaps(ENCODER, options, saliency, keep=0.9)
    (found,) = maps.detect([maps.prepare(tmp_path / 'a.png')], [(50, 30)])
    resize = dict(type='Resize', scale=(32, 32), backend='pillow', interpolation='bicubic')
    expected = TRANSFORMS.build(resize)(dict(img=pixels))['img']
    expected = torch.from_numpy(np.ascontiguousarray(expected)).permute(2, 0, 1).float()
    expected = expected.flip(0) if to_rgb else expected
    mean, std = (torch.tensor(RGB[name])[:, None, None] for name in ('mean', 'std'))
    torch.testing.assert_close(seen['images'][0], (expected - mean) / std)
    assert found.box == (0, 0, 50, 30)


def test_the_map_is_cut_to_each_images_own_size():
    grid = torch.zeros(2, 4, 4)
    grid[0, 1, 2:], grid[1, 3, 0] = 1, 1
    maps = EncoderMaps(ENCODER, RGB, lambda *args: grid, keep=0.9)
    images = [torch.zeros(3, 32, 32, dtype=torch.uint8)] * 2
    found = maps.detect(images, [(40, 20), (8, 80)])
    assert [detection.box for detection in found] == [(20, 5, 40, 10), (0, 60, 2, 80)]


def test_a_grid_need_not_be_square(plain_encoder, monkeypatch: pytest.MonkeyPatch):
    encoder = plain_encoder('test_vit', 32)
    info = encoder.encoder_info() | dict(img_size=(32, 48))
    monkeypatch.setattr(encoder, 'encoder_info', lambda: info)
    assert to_grid(encoder, torch.arange(7)[None]).tolist() == [[[1, 2, 3], [4, 5, 6]]]


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(keep=60), 'keep .*60'),
        (dict(img_size=0), 'img_size .*0'),
        (dict(encoder=dict(type='ResNet', depth=18)), 'ResNet'),
    ],
)
def test_mistakes_are_named_before_the_encoder_is_built(options: dict, named: str):
    given = dict(encoder=ENCODER | dict(pretrained='missing.pth'), keep=0.5) | options
    with pytest.raises(ValueError, match=named):
        EncoderMaps(data_preprocessor=RGB, saliency=lambda *args: None, **given)
