"""Checkpoints hold what trains, and refuse another encoder than their own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from safetensors.torch import load_file, save_file
from tiny_data import ARCH, write_weights
from torch import nn

from dva_mm.engine import AdapterCheckpointHook, EncoderCheckHook, load_adapter, publish
from dva_mm.engine.checkpoint import check_encoder, frozen_names

Build = Callable[..., nn.Module]


def last(trained: Runner) -> str:
    return str(Path(trained.work_dir) / 'epoch_3.pth')


def embed(model: nn.Module) -> torch.Tensor:
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.eval()(images, mode='tensor')


def trains(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def loaded_by_runner(model: nn.Module, file: str) -> dict:
    """What a Runner that loads the file finds in it, after the hook."""
    checkpoint = torch.load(file, weights_only=True)
    runner = SimpleNamespace(model=model, cfg=Config(dict(load_from=file)), hooks=[])
    EncoderCheckHook().after_load_checkpoint(runner, checkpoint)
    return checkpoint


def refusals(model: nn.Module, file: str) -> list[str]:
    """What loading says: as tools/test.py loads, and as a run that starts from the file does."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=Path(file).name) as tested:
        load_adapter(model, file)
    after = model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    with pytest.raises(ValueError, match=Path(file).name) as loaded:
        loaded_by_runner(model, file)
    return [str(tested.value), str(loaded.value)]


def test_a_checkpoint_holds_what_trains_and_loads_safely(trained: Runner):
    checkpoint = torch.load(last(trained), weights_only=True)
    assert checkpoint['state_dict'].keys() == trains(trained.model)
    assert len(trains(trained.model)) == 2 * 4 + 1
    names = set(trained.model.state_dict()) - trains(trained.model)
    assert frozen_names(trained.model) == names
    assert frozen_names(trained.model.backbone) == {n.removeprefix('backbone.') for n in names}
    parts = {'meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers'}
    assert set(checkpoint) == parts
    assert (checkpoint['meta']['epoch'], checkpoint['meta']['iter']) == (3, 9)
    assert checkpoint['meta']['dataset_meta']['classes'][0] == '001.Class_1'
    assert checkpoint['meta']['encoder'] == {'backbone.': trained.model.backbone.encoder_info()}
    state = checkpoint['optimizer']['state']
    assert sorted(tuple(s['exp_avg'].shape) for s in state.values()) == sorted(
        tuple(tensor.shape) for tensor in checkpoint['state_dict'].values()
    )


@pytest.mark.parametrize('name', ['epoch_3.pth', 'published.pth', 'published.safetensors'])
def test_any_form_reloads_to_the_same_embeddings(
    trained: Runner, build: Build, tmp_path: Path, name: str
):
    file = tmp_path / name
    if name.startswith('published'):
        assert publish(last(trained), str(file)) == file
    else:
        shutil.copy(last(trained), file)
    model, headless = build(), MODELS.build({**trained.cfg.model.to_dict(), 'head': None})
    untrained = embed(model)
    for each in (model, headless):
        load_adapter(each, str(file))
        assert torch.equal(embed(each), embed(trained.model))
    assert not torch.equal(embed(model), untrained)
    assert not torch.equal(model.head.proxies, trained.model.head.proxies)


class StubEncoder(nn.Linear):
    """An encoder that says of its tuning what it is told to."""

    def __init__(self, tuning: dict | None) -> None:
        super().__init__(2, 2)
        self.info = dict(name='vit', img_size=(224, 224), fingerprint='abc', tuning=tuning)

    def encoder_info(self) -> dict:
        return self.info

    def base_names(self) -> tuple:
        return ()


@pytest.mark.parametrize(
    ('trained_with', 'present', 'named'),
    [
        (
            dict(type='ICA', act='GELU', scale=1.0, rank=16),
            dict(type='ICA', act='ReLU', scale=5.0, rank=16),
            {'act': ('GELU', 'ReLU'), 'scale': (1.0, 5.0)},
        ),
        (dict(targets=('q', 'k')), dict(targets=['q']), {'targets': (['q', 'k'], ['q'])}),
        (dict(act=dict(type='GELU', n=1)), dict(act=dict(type='GELU')), {'act.n': (1, None)}),
        (None, dict(type='ICA'), {'type': (None, 'ICA')}),
        (dict(type='LoRA', r=8), None, {'type': ('LoRA', None), 'r': (8, None)}),
        (dict(targets=['q', 'k'], act=None), dict(targets=('q', 'k')), {}),  # JSON has no tuples
    ],
)
def test_each_option_of_the_tuning_that_differs_is_named(
    trained_with: dict | None, present: dict | None, named: dict
):
    model = nn.ModuleDict(dict(backbone=StubEncoder(present)))
    checkpoint = dict(meta=dict(encoder={'backbone.': StubEncoder(trained_with).info}))
    with pytest.raises(ValueError, match='backbone.name'):
        check_encoder(nn.Linear(2, 2), checkpoint)
    if not named:
        check_encoder(model, checkpoint)
        return
    with pytest.raises(ValueError, match='my.pth') as error:
        check_encoder(model, checkpoint, 'my.pth')
    message = str(error.value)
    assert message.count('the model has') == len(named)
    for field, (saved, own) in named.items():
        assert f'backbone.tuning.{field}: trained with {saved!r}, the model has {own!r}' in message


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ('value', ['fingerprint: trained with ']),
        ('depth', ['name: ', 'num_blocks: trained with 2, the model has 3']),
        (dict(img_size=40, pretrained=False), ['img_size: trained with', '40']),
        (dict(pooling='avg'), ["pooling: trained with 'cls', the model has 'avg'"]),
        (dict(tuning=dict(type='ICA', rank=8)), ['4', '8']),
        (dict(tuning=dict(type='ICA', rank=4, layers=[0])), ['layers']),
        (dict(tuning=None), []),
    ],
)
def test_another_encoder_or_adapter_is_refused_by_name(
    trained: Runner, build: Build, tmp_path: Path, change: dict | str, expected: list
):
    if change == 'value':  # a single one of the encoder's weights
        state = load_file(write_weights(tmp_path / 'vit.safetensors'))
        state['layers.1.ffn.layers.1.weight'][3, 5] += 1e-6
        save_file(state, tmp_path / 'vit.safetensors')
        change = dict(pretrained=str(tmp_path / 'vit.safetensors'))
    elif change == 'depth':
        arch = {**ARCH, 'arch': {**ARCH['arch'], 'num_layers': 3}}
        change = dict(arch=arch, pretrained=False)
    for message in refusals(build(**change), last(trained)):
        for text in expected:
            assert text in message
        assert 'fingerprint' not in expected[:1] or message.count(': trained with ') == 1


@pytest.mark.parametrize('content', [dict(meta={}), dict(meta=None), {}, None, 'list'])
def test_a_foreign_or_missing_checkpoint_is_refused(
    trained: Runner, build: Build, tmp_path: Path, content: dict | str | None
):
    file, plain = tmp_path / 'foreign.pth', dict(weight=torch.zeros(2))
    if isinstance(content, dict):
        state = torch.load(last(trained), weights_only=True)['state_dict']
        torch.save(dict(state_dict=state, **content), file)
        for message in refusals(build(), str(file)):
            assert 'model.backbone.pretrained' in message
    torch.save([1] if content == 'list' else plain, file)
    save_file(plain, tmp_path / 'foreign.safetensors')
    for foreign in (file, tmp_path / 'foreign.safetensors'):
        for _ in range(2):
            with pytest.raises(ValueError, match=foreign.name):
                load_adapter(build(), str(foreign))
            foreign.write_bytes(b'')
        foreign.unlink()
        with pytest.raises(FileNotFoundError, match=foreign.name):
            load_adapter(build(), str(foreign))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('damage', ['nan', 'inf', 'int', 'half'])
def test_damaged_tensors_are_refused(
    trained: Runner, build: Build, tmp_path: Path, damage: str, suffix: str
):
    content = torch.load(publish(last(trained), str(tmp_path / 'whole.pth')), weights_only=True)
    state, file = content['state_dict'], tmp_path / f'dva{suffix}'
    name = sorted(state)[3]
    if damage in ('nan', 'inf'):
        state[name][0, 0] = float(damage)
    else:
        state[name] = state[name].to(dict(int=torch.int64, half=torch.float16)[damage])
    torch.save(content, tmp_path / 'damaged.pth')
    if damage in ('nan', 'inf'):
        with pytest.raises(ValueError, match=rf'damaged.pth .*{name}'):
            publish(str(tmp_path / 'damaged.pth'), str(file))
        assert not file.exists()
    if suffix == '.pth':
        torch.save(content, file)
    else:
        save_file(state, file, metadata=dict(dva_mm=json.dumps(content['meta'])))
    if damage == 'half':  # narrower numbers are no damage
        load_adapter(model := build(), str(file))
        assert torch.allclose(embed(model), embed(trained.model), atol=1e-2)
        return
    with pytest.raises(ValueError, match=rf'dva{suffix} .*{name}'):
        load_adapter(build(), str(file))
    if suffix == '.pth':
        for message in refusals(build(), str(file)):
            assert name in message


def test_another_neck_is_refused(trained: Runner, tmp_path: Path):
    def with_neck(width: int | None) -> nn.Module:
        neck = dict(type='LinearNeck', in_channels=32, out_channels=width) if width else None
        return MODELS.build({**trained.cfg.model.to_dict(), 'neck': neck, 'head': None})

    model = with_neck(8)
    meta = dict(encoder={'backbone.': model.backbone.encoder_info()})
    frozen = frozen_names(model)
    state = {name: t for name, t in model.state_dict().items() if name not in frozen}
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'necked.pth')
    load_adapter(with_neck(8), str(tmp_path / 'necked.pth'))
    for width, file in ((None, tmp_path / 'necked.pth'), (16, tmp_path / 'necked.pth'), (8, None)):
        file = file or last(trained)
        with pytest.raises(ValueError, match=rf'{Path(file).name} .* neck\.'):
            load_adapter(with_neck(width), str(file))


def before_save(trained: Runner, model: nn.Module, optimizer: dict, **parts) -> dict:
    """What MMEngine hands to the hook for a model, and the hook leaves of it."""
    checkpoint = dict(
        meta=dict(cfg=trained.cfg.pretty_text),
        state_dict=model.state_dict(),
        message_hub=trained.message_hub.state_dict(),
        optimizer=optimizer,
        **parts,
    )
    AdapterCheckpointHook().before_save_checkpoint(SimpleNamespace(model=model), checkpoint)
    return checkpoint


@pytest.mark.parametrize('kind', ['Full', 'BitFit', 'LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer'])
def test_any_tuning_is_saved_published_and_resumed(
    trained: Runner, build: Build, tmp_path: Path, kind: str
):
    tuned = build(dict(type=kind))
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    file = str(tmp_path / 'epoch_1.pth')
    torch.save(before_save(trained, tuned, {}), file)
    assert torch.load(file)['state_dict'].keys() == trains(tuned) > {'head.proxies'}
    for name in ('epoch_1.pth', 'published.pth', 'published.safetensors'):
        if name != 'epoch_1.pth':
            publish(file, str(tmp_path / name))
        load_adapter(model := build(dict(type=kind)), str(tmp_path / name))
        assert torch.equal(embed(model), embed(tuned))
    model = build(dict(type=kind))
    model.load_state_dict(loaded_by_runner(model, file)['state_dict'], strict=True)
    assert torch.equal(embed(model), embed(tuned))
    for other in (None, dict(type='BitFit' if kind == 'Full' else 'Full')):
        for message in refusals(build(other), file):
            assert f'tuning.type: trained with {kind!r}' in message
    for message in refusals(build(dict(type=kind)), last(trained)):
        assert f'the model has {kind!r}' in message


def test_a_run_of_full_fine_tuning_saves_the_encoder_and_resumes(
    make_runner: Callable[..., Runner], tmp_path: Path
):
    options = {'train_cfg.max_epochs': 1, 'optim_wrapper.optimizer.lr': 1e-3}
    runner = make_runner(tmp_path, options, tuning=dict(type='Full'))
    pre_trained, fingerprint = embed(runner.model), runner.model.backbone.encoder_info()
    runner.train()
    file = tmp_path / 'epoch_1.pth'
    saved = torch.load(file, weights_only=True)
    assert saved['state_dict'].keys() == runner.model.state_dict().keys()
    assert saved['meta']['encoder']['backbone.'] == fingerprint
    load_adapter(model := MODELS.build(runner.cfg.model.to_dict()), str(file))
    assert torch.equal(embed(model), embed(runner.model))
    assert not torch.allclose(embed(model), pre_trained, atol=1e-3)
    resumed = make_runner(tmp_path, options, tuning=dict(type='Full'), resume='auto')
    resumed.train()  # nothing is left to train: initialisation must not undo what was loaded
    assert torch.equal(embed(resumed.model), embed(runner.model))


def test_merged_adapters_are_not_saved_as_if_nothing_had_trained(trained: Runner, build: Build):
    model = build(dict(type='ICA', rank=4, act=None))
    before_save(trained, model, {})
    model.backbone.merge()
    with pytest.raises(ValueError, match='merge'):
        before_save(trained, model, {})


@pytest.mark.parametrize('schedule', ['OneCycleLR', 'MultiStepLR', 'CosineRestartLR'])
def test_checkpoints_of_any_schedule_load_safely(
    make_runner: Callable[..., Runner], tmp_path: Path, schedule: str
):
    options = dict(
        OneCycleLR=dict(eta_max=0.1, total_steps=6),
        MultiStepLR=dict(milestones=[1]),
        CosineRestartLR=dict(periods=(1, 1), restart_weights=(1, 1), eta_min=0.0),
    )[schedule]
    child = f'param_scheduler = dict(_delete_=True, type={schedule!r}, **{options})'
    options = {'train_cfg.max_epochs': 2, 'default_hooks.frozen_baseline': None}
    make_runner(tmp_path, options, child).train()
    whole = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    (tmp_path / 'epoch_2.pth').unlink()
    make_runner(tmp_path, options, child, resume='auto').train()
    again = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert again['param_schedulers'] == whole['param_schedulers']
    for name, tensor in whole['state_dict'].items():
        assert torch.equal(again['state_dict'][name], tensor)


def test_the_size_of_a_vit_base_checkpoint(trained: Runner, build: Build, tmp_path: Path):
    # CUB trains 100 classes.
    model = build(
        dict(type='ICA', rank=16),
        arch='vit_base_patch16_224.augreg_in21k',
        pretrained=False,
        img_size=224,
    )
    model.head = MODELS.build(dict(type='DVAHead', num_classes=100, in_channels=768))
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
