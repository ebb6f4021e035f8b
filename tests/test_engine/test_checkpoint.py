"""Checkpoints hold what trains, and refuse another encoder than their own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_data import ARCH, write_weights
from torch import nn

from dva_mm.engine import AdapterCheckpointHook, load_adapter, publish
from dva_mm.engine.checkpoint import check_encoder, find_resumable, frozen_names
from dva_mm.models.tuning import resolve_tuning


def last(trained: Runner) -> str:
    return str(Path(trained.work_dir) / 'epoch_3.pth')


def build(trained: Runner, **backbone) -> nn.Module:
    """The run's model, untrained, with changes to its backbone."""
    config = trained.cfg.model.to_dict()
    config['backbone'].update(backbone)
    return MODELS.build(config)


def embed(model: nn.Module) -> torch.Tensor:
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.eval()(images, mode='tensor')


def test_a_checkpoint_holds_what_trains_and_loads_safely(trained: Runner):
    checkpoint = torch.load(last(trained), weights_only=True)
    trains = {name for name, p in trained.model.named_parameters() if p.requires_grad}
    assert checkpoint['state_dict'].keys() == trains
    assert len(trains) == 2 * 4 + 1
    assert set(checkpoint) == {
        'meta',
        'state_dict',
        'message_hub',
        'optimizer',
        'param_schedulers',
    }
    assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (3, 9)
    assert checkpoint['meta']['dataset_meta']['classes'][0] == '001.Class_1'
    assert checkpoint['meta']['encoder'] == {'backbone.': trained.model.backbone.encoder_info()}
    state = checkpoint['optimizer']['state']
    assert sorted(tuple(s['exp_avg'].shape) for s in state.values()) == sorted(
        tuple(tensor.shape) for tensor in checkpoint['state_dict'].values()
    )


def test_frozen_names_are_the_host_alone(trained: Runner):
    names = frozen_names(trained.model)
    trains = {name for name, p in trained.model.named_parameters() if p.requires_grad}
    assert names == set(trained.model.state_dict()) - trains
    assert frozen_names(nn.Linear(2, 2)) == set()
    assert frozen_names(trained.model.backbone) == {n.removeprefix('backbone.') for n in names}


@pytest.mark.parametrize('name', ['epoch_3.pth', 'published.pth', 'published.safetensors'])
def test_any_form_reloads_to_the_same_embeddings(trained: Runner, tmp_path: Path, name: str):
    file = tmp_path / name
    if name.startswith('published'):
        assert publish(last(trained), str(file)) == file
    else:
        shutil.copy(last(trained), file)
    model = build(trained)
    untrained = embed(model)
    load_adapter(model, str(file))
    assert torch.equal(embed(model), embed(trained.model))
    assert not torch.equal(embed(model), untrained)
    assert not torch.equal(model.head.proxies, trained.model.head.proxies)


def test_a_model_without_head_loads_a_checkpoint_with_one(trained: Runner, tmp_path: Path):
    model = MODELS.build({**trained.cfg.model.to_dict(), 'head': None})
    load_adapter(model, last(trained))
    assert torch.equal(embed(model), embed(trained.model))


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
        names = set(content['state_dict'])
    else:
        with safe_open(file, framework='pt') as content:
            names = set(content.keys())
    trains = {name for name, p in trained.model.named_parameters() if p.requires_grad}
    assert names == (trains if with_head else trains - {'head.proxies'})
    again = publish(str(file), str(tmp_path / 'again.safetensors'), with_head)
    model = build(trained)
    load_adapter(model, str(again))
    assert torch.equal(embed(model), embed(trained.model))


def test_publish_refuses_what_it_cannot_write_or_did_not_save(trained: Runner, tmp_path: Path):
    with pytest.raises(ValueError, match=r"writes .pth or .safetensors, got '.*dva.onnx'"):
        publish(last(trained), str(tmp_path / 'dva.onnx'))
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='foreign.pth was not saved by dva_mm'):
        publish(str(tmp_path / 'foreign.pth'), str(tmp_path / 'dva.pth'))


def refusals(model: nn.Module, file: str) -> list[str]:
    """What loading says: as tools/test.py loads, and as a run that starts from the file does."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError) as tested:
        load_adapter(model, file)
    after = model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    with pytest.raises(ValueError) as loaded:
        checkpoint = torch.load(file, weights_only=True)
        AdapterCheckpointHook().after_load_checkpoint(SimpleNamespace(model=model), checkpoint)
    return [str(tested.value), str(loaded.value)]


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ('weights', ['fingerprint: trained on ']),
        ('depth', ['name: ', 'num_blocks: trained on 2, present 3']),
        (dict(img_size=40, pretrained=False), ['img_size: trained on 32, present 40']),
        (dict(pooling='avg'), ["pooling: trained on 'cls', present 'avg'"]),
        (
            dict(ica=dict(rank=8)),
            ['other adapters', 'k_down.weight: saved (4, 32), model (8, 32)', 'rank'],
        ),
        (dict(ica=dict(rank=4, layers=[0])), ['other adapters', 'layers.1', 'model absent']),
        (dict(ica=None), ['other adapters', '8 tensors differ', 'model absent']),
    ],
)
def test_another_encoder_or_adapter_is_refused_by_name(
    trained: Runner, tmp_path: Path, change: dict | str, expected: list
):
    if change == 'weights':
        change = dict(pretrained=str(write_weights(tmp_path / 'other.safetensors', seed=1)))
    elif change == 'depth':
        arch = {**ARCH, 'arch': {**ARCH['arch'], 'num_layers': 3}}
        change = dict(arch=arch, pretrained=False)
    for message in refusals(build(trained, **change), last(trained)):
        for text in expected:
            assert text in message
        if 'other adapters' not in message:
            assert 'model.backbone: arch, img_size, pooling, pretrained' in message


def test_a_single_changed_value_of_the_encoder_is_noticed(trained: Runner, tmp_path: Path):
    backbone = trained.model.backbone
    tensors = backbone.state_dict()
    state = {name.removeprefix('host.'): tensors[name].clone() for name in backbone.base_names()}
    state['layers.1.ffn.layers.1.weight'][3, 5] += 1e-6
    save_file(state, tmp_path / 'vit.safetensors')
    model = build(trained, pretrained=str(tmp_path / 'vit.safetensors'))
    checkpoint = torch.load(last(trained), weights_only=True)
    with pytest.raises(ValueError, match='fingerprint') as error:
        check_encoder(model, checkpoint, 'my.pth')
    assert str(error.value).startswith('my.pth was trained on another frozen encoder')
    assert str(error.value).count(': trained on ') == 1  # no other field differs
    check_encoder(build(trained), checkpoint)


@pytest.mark.parametrize('content', [dict(meta={}), {}])
def test_a_foreign_checkpoint_is_refused(trained: Runner, tmp_path: Path, content: dict):
    state = torch.load(last(trained), weights_only=True)['state_dict']
    torch.save(dict(state_dict=state, **content), tmp_path / 'foreign.pth')
    for message in refusals(build(trained), str(tmp_path / 'foreign.pth')):
        assert 'does not say which frozen encoder it was trained on' in message
        assert 'model.backbone.pretrained' in message


def test_foreign_files_without_state_dict_or_metadata_are_refused(trained: Runner, tmp_path: Path):
    model = build(trained)
    torch.save(dict(weight=torch.zeros(2)), tmp_path / 'plain.pth')
    with pytest.raises(ValueError, match='plain.pth is no checkpoint: it has no state_dict'):
        load_adapter(model, str(tmp_path / 'plain.pth'))
    save_file(dict(weight=torch.zeros(2)), tmp_path / 'plain.safetensors')
    with pytest.raises(ValueError, match=r'plain.safetensors does not say which frozen encoder'):
        load_adapter(model, str(tmp_path / 'plain.safetensors'))


@pytest.mark.parametrize('name', ['gone.pth', 'gone.safetensors'])
def test_a_missing_file_is_named(trained: Runner, tmp_path: Path, name: str):
    with pytest.raises(FileNotFoundError, match=name):
        load_adapter(build(trained), str(tmp_path / name))


@pytest.mark.parametrize('width', [None, 16])
def test_another_neck_is_refused(trained: Runner, tmp_path: Path, width: int | None):
    def with_neck(out_channels: int | None) -> nn.Module:
        config = trained.cfg.model.to_dict()
        neck = dict(type='LinearNeck', in_channels=32, out_channels=out_channels)
        return MODELS.build(
            {**config, 'neck': None if out_channels is None else neck, 'head': None}
        )

    model = with_neck(8)
    meta = dict(encoder={'backbone.': model.backbone.encoder_info()})
    frozen = frozen_names(model)
    state = {name: t for name, t in model.state_dict().items() if name not in frozen}
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'necked.pth')
    load_adapter(with_neck(8), str(tmp_path / 'necked.pth'))
    with pytest.raises(ValueError, match=r'necked.pth does not fit the model: (?s:.*)neck\.'):
        load_adapter(with_neck(width), str(tmp_path / 'necked.pth'))
    if width is None:
        with pytest.raises(
            ValueError, match=r'does not fit the model: .* neck\..*: saved absent, model'
        ):
            load_adapter(with_neck(8), last(trained))


@pytest.fixture(
    params=[
        dict(type='Full'),
        dict(type='BitFit'),
        dict(type='LoRA', rank=2),
        dict(type='VPTShallow', num_tokens=2),
        dict(type='VPTDeep', num_tokens=2),
        dict(type='AdaptFormer', bottleneck=3),
    ],
    ids=lambda tuning: tuning['type'],
)
def tuning(request: pytest.FixtureRequest) -> dict:
    """Each rival of ICA."""
    if request.param['type'] == 'LoRA':
        pytest.importorskip('peft')
    return request.param


@pytest.fixture
def tuned(trained: Runner, tuning: dict, tmp_path: Path) -> nn.Module:
    """A model whose encoder was tuned otherwise than by ICA, saved as epoch_1.pth."""
    model = build(trained, ica=None, tuning=tuning)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    torch.save(before_save(trained, model, {}), tmp_path / 'epoch_1.pth')
    return model


@pytest.mark.parametrize('name', ['epoch_1.pth', 'published.pth', 'published.safetensors'])
def test_any_tuning_reloads_to_the_same_embeddings(
    trained: Runner, tuned: nn.Module, tuning: dict, tmp_path: Path, name: str
):
    if name != 'epoch_1.pth':
        publish(str(tmp_path / 'epoch_1.pth'), str(tmp_path / name))
    model = build(trained, ica=None, tuning=tuning)
    assert not torch.equal(embed(model), embed(tuned))
    load_adapter(model, str(tmp_path / name))
    assert torch.equal(embed(model), embed(tuned))


def test_a_checkpoint_of_any_tuning_holds_what_trains_and_resumes(
    trained: Runner, tuned: nn.Module, tuning: dict, tmp_path: Path
):
    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    trains = {name for name, p in tuned.named_parameters() if p.requires_grad}
    assert checkpoint['state_dict'].keys() == trains > {'head.proxies'}
    model = build(trained, ica=None, tuning=tuning)
    AdapterCheckpointHook().after_load_checkpoint(SimpleNamespace(model=model), checkpoint)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    assert torch.equal(embed(model), embed(tuned))


def test_another_tuning_is_refused_by_name(
    trained: Runner, tuned: nn.Module, tuning: dict, tmp_path: Path
):
    name, own = tuning['type'], str(tmp_path / 'epoch_1.pth')
    other = dict(type='BitFit' if name == 'Full' else 'Full')
    options = dict(VPTShallow=dict(num_tokens=3), VPTDeep=dict(num_tokens=3))
    changed = dict(LoRA=dict(alpha=17), AdaptFormer=dict(scale=0.2), **options).get(name)
    present = [None, other] + ([] if changed is None else [{**tuning, **changed}])
    for different in present:
        for message in refusals(build(trained, ica=None, tuning=different), own):
            assert 'was trained with another tuning of the encoder than the one present' in message
            assert f"tuning: trained on {{'type': '{name}'" in message
            assert f', present {different and resolve_tuning(different)}\n' in message
            assert 'Set model.backbone.tuning to what it was trained with' in message
    for message in refusals(build(trained, ica=None, tuning=tuning), last(trained)):
        assert f"tuning: trained on None, present {{'type': '{name}'" in message
        assert 'None stands for ICA' in message


def test_another_encoder_is_refused_with_any_tuning(
    trained: Runner, tuned: nn.Module, tuning: dict, tmp_path: Path
):
    weights = str(write_weights(tmp_path / 'other.safetensors', seed=1))
    model = build(trained, ica=None, tuning=tuning, pretrained=weights)
    for message in refusals(model, str(tmp_path / 'epoch_1.pth')):
        assert 'another frozen encoder' in message and 'fingerprint: trained on ' in message
        assert 'tuning' not in message


def test_checkpoints_from_before_the_tuning_was_noted_load(trained: Runner, tmp_path: Path):
    checkpoint = torch.load(last(trained), weights_only=True)
    assert checkpoint['meta']['encoder']['backbone.'].pop('tuning') is None
    torch.save(checkpoint, tmp_path / 'old.pth')
    model = build(trained)
    load_adapter(model, str(tmp_path / 'old.pth'))
    assert torch.equal(embed(model), embed(trained.model))
    model = build(trained, ica=None, tuning=dict(type='BitFit'))
    for message in refusals(model, str(tmp_path / 'old.pth')):
        assert "tuning: trained on None, present {'type': 'BitFit'}" in message


def test_a_run_of_full_fine_tuning_saves_the_encoder_and_resumes(
    make_runner: Callable[..., Runner], tmp_path: Path
):
    options = {
        'model.backbone.ica': None,
        'model.backbone.tuning': dict(type='Full'),
        'train_cfg.max_epochs': 1,
        'optim_wrapper.optimizer.lr': 1e-3,
    }
    runner = make_runner(tmp_path / 'run', options)
    fingerprint = runner.model.backbone.encoder_info()['fingerprint']
    runner.train()
    saved = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)
    assert saved['state_dict'].keys() == runner.model.state_dict().keys()
    assert saved['meta']['encoder']['backbone.']['fingerprint'] == fingerprint
    model = MODELS.build(runner.cfg.model.to_dict())
    pre_trained = embed(model)
    load_adapter(model, str(tmp_path / 'run' / 'epoch_1.pth'))
    assert torch.equal(embed(model), embed(runner.model))
    assert not torch.allclose(embed(model), pre_trained, atol=1e-3)
    resumed = make_runner(
        tmp_path / 'run',
        {**options, 'resume': True, 'load_from': str(tmp_path / 'run' / 'epoch_1.pth')},
    )
    resumed.train()  # nothing is left to train: initialisation must not undo what was loaded
    assert torch.equal(embed(resumed.model), embed(runner.model))


def before_save(trained: Runner, model: nn.Module, optimizer: dict) -> dict:
    """What MMEngine hands to the hook for a model, and the hook leaves of it."""
    checkpoint = dict(
        meta=dict(cfg=trained.cfg.pretty_text),
        state_dict=model.state_dict(),
        message_hub=trained.message_hub.state_dict(),
        optimizer=optimizer,
    )
    AdapterCheckpointHook().before_save_checkpoint(SimpleNamespace(model=model), checkpoint)
    return checkpoint


def test_merged_adapters_are_not_saved_as_if_nothing_had_trained(trained: Runner):
    model = build(trained, ica=dict(rank=4, act=None))
    before_save(trained, model, {})
    model.backbone.merge()
    with pytest.raises(ValueError, match='merged'):
        before_save(trained, model, {})


def test_the_size_of_a_vit_base_checkpoint(trained: Runner, tmp_path: Path):
    backbone = dict(
        type='FrozenViT',
        arch='vit_base_patch16_224.augreg_in21k',
        pretrained=False,
        ica=dict(rank=16),
    )
    # CUB trains 100 classes.
    model = MODELS.build(
        dict(type='DVARetriever', backbone=backbone, head=dict(type='DVAHead', num_classes=100))
    )
    wrapper = build_optim_wrapper(model, trained.cfg.optim_wrapper)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    saved = tmp_path / 'epoch_1.pth'
    torch.save(before_save(trained, model, wrapper.state_dict()), saved)
    count = 12 * 2 * 2 * 768 * 16 + 101 * 768
    assert sum(t.numel() for t in torch.load(saved)['state_dict'].values()) == count
    assert 3 * 4 * count < saved.stat().st_size < 20e6
    for name in ('dva.pth', 'dva.safetensors'):
        size = publish(str(saved), str(tmp_path / name)).stat().st_size
        assert 4 * 12 * 2 * 2 * 768 * 16 < size < 3e6


def test_the_newest_readable_checkpoint_is_resumed(trained: Runner, tmp_path: Path):
    work_dir = str(tmp_path)
    assert find_resumable(str(tmp_path / 'nowhere')) is None
    assert find_resumable(work_dir) is None
    shutil.copy(Path(trained.work_dir) / 'epoch_2.pth', tmp_path / 'epoch_9.pth')
    assert find_resumable(work_dir) == str(tmp_path / 'epoch_9.pth')
    shutil.copy(last(trained), tmp_path / 'epoch_10.pth')
    publish(last(trained), str(tmp_path / 'epoch_11.pth'))
    publish(last(trained), str(tmp_path / 'dva.pth'))
    assert find_resumable(work_dir) == str(tmp_path / 'epoch_10.pth')


@pytest.mark.parametrize('damage', ['half', 'all but a byte', 'empty', 'garbage', 'list', 'tensor'])
def test_a_torn_checkpoint_is_skipped(trained: Runner, tmp_path: Path, damage: str):
    shutil.copy(Path(trained.work_dir) / 'epoch_2.pth', tmp_path / 'epoch_2.pth')
    content, torn = Path(last(trained)).read_bytes(), tmp_path / 'epoch_3.pth'
    if damage in ('list', 'tensor'):
        torch.save([1] if damage == 'list' else torch.zeros(2), torn)
    else:
        size = {'half': len(content) // 2, 'all but a byte': len(content) - 1, 'empty': 0}
        torn.write_bytes(content[: size[damage]] if damage in size else b'garbage' * 100)
    assert find_resumable(str(tmp_path)) == str(tmp_path / 'epoch_2.pth')
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    assert find_resumable(str(tmp_path)) is None


def test_a_resumed_run_goes_on_deleting_old_checkpoints(resumed: Runner):
    saved = sorted(path.name for path in Path(resumed.work_dir).glob('*.pth'))
    assert saved == ['epoch_4.pth', 'epoch_5.pth']
