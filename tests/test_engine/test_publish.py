"""What a published file holds; that it loads again is tested in test_checkpoint.py."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from safetensors.torch import load_file

from dva_mm.engine import publish
from dva_mm.models import FrozenViT


def last(trained: Runner) -> str:
    return str(Path(trained.work_dir) / 'epoch_3.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('with_head', [False, True])
def test_a_published_file_holds_weights_alone(
    trained: Runner, tmp_path: Path, suffix: str, with_head: bool
):
    file = publish(last(trained), str(tmp_path / 'new' / f'dva{suffix}'), with_head)
    if suffix == '.pth':
        content = torch.load(file, weights_only=True)
        assert set(content) == {'state_dict', 'meta'}
        assert set(content['meta']) == {'encoder', 'cfg'}
        state = content['state_dict']
    else:
        state = load_file(file)
    trains = {name for name, p in trained.model.named_parameters() if p.requires_grad}
    assert set(state) == (trains if with_head else trains - {'head.proxies'})
    again = load_file(publish(str(file), str(tmp_path / 'again.safetensors'), with_head))
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize('name', ['dva.onnx', 'foreign.pth', 'a_file/dva.pth', 'folder.pth'])
def test_publish_refuses_before_it_writes(trained: Runner, tmp_path: Path, name: str):
    (tmp_path / 'a_file').touch()
    (tmp_path / 'folder.pth').mkdir()
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'foreign.pth')
    source = str(tmp_path / name) if name == 'foreign.pth' else last(trained)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(ValueError, match=name):
        publish(source, str(tmp_path / ('dva.pth' if name == 'foreign.pth' else name)))
    with pytest.raises(ValueError, match='epoch_3.pth .*--backbone'):  # adapters are none
        publish(last(trained), str(tmp_path / 'vit.safetensors'), backbone=True)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_failed_write_leaves_the_old_file(
    trained: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def half(content: dict, file: Path) -> None:
        Path(file).write_bytes(b'half')
        raise OSError('no space left')

    (tmp_path / 'dva.pth').write_bytes(b'old')
    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='no space'):
        publish(last(trained), str(tmp_path / 'dva.pth'))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b'old']


def test_a_whole_backbone_is_written_under_its_own_names(mmpretrain_arch: dict, tmp_path: Path):
    trained = FrozenViT(mmpretrain_arch, pretrained=False, img_size=32)
    own = trained.state_dict()
    names = {name.removeprefix('host.') for name in trained.base_names()}
    state = {f'backbone.{name}': own[f'host.{name}'] for name in names}
    state['head.fc.weight'] = torch.ones(2, 32)
    torch.save(dict(state_dict=state, meta=dict(encoder={})), tmp_path / 'epoch_1.pth')
    out = publish(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'vit.safetensors'), backbone=True)
    assert load_file(out).keys() == names
    loaded = FrozenViT(mmpretrain_arch, pretrained=str(out), img_size=32)
    assert loaded.encoder_info() == trained.encoder_info()
