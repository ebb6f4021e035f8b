"""Publishing a whole backbone; adapters are published in test_checkpoint.py and test_tools.py."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from safetensors.torch import load_file

from dva_mm.engine import publish
from dva_mm.models import FrozenViT


def test_a_whole_backbone_is_written_under_its_own_names(mmpretrain_arch: dict, tmp_path: Path):
    trained = FrozenViT(mmpretrain_arch, pretrained=False, img_size=32, ica=None)
    state = {f'backbone.{name}': t for name, t in trained.host.state_dict().items()}
    state['head.fc.weight'] = torch.ones(2, 32)
    torch.save(dict(state_dict=state, meta=dict(encoder={})), tmp_path / 'epoch_1.pth')
    out = publish(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'vit.safetensors'), backbone=True)
    assert load_file(out).keys() == trained.host.state_dict().keys()
    loaded = FrozenViT(mmpretrain_arch, pretrained=str(out), img_size=32, ica=None)
    assert loaded.encoder_info() == trained.encoder_info()


def test_adapters_are_no_backbone(trained: Runner, tmp_path: Path):
    checkpoint = str(Path(trained.work_dir) / 'epoch_3.pth')
    with pytest.raises(ValueError, match=r'epoch_3.pth holds no whole backbone.*--backbone'):
        publish(checkpoint, str(tmp_path / 'vit.safetensors'), backbone=True)
    assert not (tmp_path / 'vit.safetensors').exists()
