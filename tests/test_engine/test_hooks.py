"""The hooks, in real runs on tiny models."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS, MODELS

from dva_mm.engine import EpochSeedHook, NonFiniteLossHook, hooks, load_adapter, publish

MakeRunner = Callable[..., Runner]


@HOOKS.register_module()
class PoisonHook(Hook):
    """Put a NaN into the proxies at the start of the second epoch."""

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch == 1:
            runner.model.head.proxies.data[0, 0] = math.nan


def log(runner: Runner) -> str:
    return (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()


def test_the_trainable_parameters_are_logged_once_at_the_start(trained: Runner):
    text = log(trained)
    lines = re.findall('trainable parameters: .*', text)
    adapters, proxies = 2 * 2 * 2 * 32 * 4, (3 + 1) * 32
    vit = sum(
        parameter.numel()
        for name, parameter in trained.model.backbone.named_parameters()
        if not re.search('[qk]_(down|up)', name)
    )
    assert lines == [
        f'trainable parameters: {adapters + proxies:,} of {vit + adapters + proxies:,} '
        f'({100 * (adapters + proxies) / (vit + adapters + proxies):.3f}%); in the encoder '
        f'{adapters:,} of {vit + adapters:,} ({100 * adapters / (vit + adapters):.3f}%)'
    ]
    assert text.index(lines[0]) < text.index('Epoch(train)')


def seeded(loop: BaseLoop, epoch: int, seed: int = 0) -> tuple[float, list[list]]:
    """What the hook leaves behind: the next random number, and all images' views."""
    runner = SimpleNamespace(
        train_loop=loop, train_dataloader=loop.dataloader, epoch=epoch, seed=seed
    )
    EpochSeedHook().before_train_epoch(runner)
    views = [torch.stack(item['inputs']).tolist() for item in loop.dataloader.dataset]
    return torch.rand(()).item(), views


def test_random_numbers_depend_on_seed_epoch_and_rank_alone(
    trained: Runner, monkeypatch: pytest.MonkeyPatch
):
    loop = trained.train_loop
    number, views = seeded(loop, epoch=2)
    torch.rand(100)
    assert seeded(loop, epoch=2) == (number, views)
    for changed in (dict(epoch=1), dict(epoch=2, seed=1)):
        other = seeded(loop, **changed)
        assert other[0] != number
        assert other[1] != views
    monkeypatch.setattr(hooks, 'get_rank', lambda: 1)
    other = seeded(loop, epoch=2)
    assert other[0] != number
    assert other[1] == views  # an image's augmentation does not depend on the rank that draws it
    # Loops that are not by epoch keep their random numbers.
    loop = IterBasedTrainLoop(trained, trained.train_dataloader, max_iters=3)
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    EpochSeedHook().before_train_epoch(SimpleNamespace(train_loop=loop, seed=0, epoch=0))
    assert torch.rand(()) == expected


def test_a_nan_loss_stops_the_run_and_keeps_the_older_checkpoint(
    make_runner: MakeRunner, tmp_path: Path
):
    options = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'out')}
    child = "custom_hooks = [dict(type='PoisonHook')]"
    runner = make_runner(tmp_path / 'run', options, child)
    saved = tmp_path / 'out' / 'run' / 'epoch_1.pth'
    with pytest.raises(ValueError) as error:
        runner.train()
    for text in ('epoch 2, iteration 3', "'loss_proxy': nan", str(saved), 'optim_wrapper'):
        assert text in str(error.value)
    assert list(tmp_path.rglob('*.pth')) == [saved]
    state = torch.load(saved, weights_only=True)['state_dict']
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize(
    ('batch_idx', 'iteration', 'value', 'looks'),
    [
        *((0, 0, math.nan, False), (1, 1, math.nan, True), (2, 2, math.nan, False)),
        *((4, 4, -math.inf, True), (2, 99, math.nan, True)),
    ],
)
def test_losses_are_looked_at_every_interval_and_at_the_end(
    batch_idx: int, iteration: int, value: float, looks: bool
):
    runner = SimpleNamespace(iter=iteration, max_iters=100, epoch=0, train_dataloader=range(5))
    runner.message_hub = SimpleNamespace(runtime_info={})
    outputs = dict(loss=torch.tensor(1.0), loss_dpt=torch.tensor(value), loss_proxy=1.0)
    check = NonFiniteLossHook(interval=2).after_train_iter
    if looks:
        with pytest.raises(ValueError, match=rf"iteration {batch_idx + 1}: .*'loss_dpt': {value}"):
            check(runner, batch_idx, outputs=outputs)
    else:
        check(runner, batch_idx, outputs=outputs)
    check(runner, batch_idx, outputs=dict(loss=torch.tensor(1.0)))


def figures(text: str, name: str) -> list[dict[str, str]]:
    """What lines like 'after training: Recall@1 33.33  Recall@2 50.00' say."""
    lines = re.findall(rf'{name}: (Recall.*)', text)
    return [dict(pair.split(' ') for pair in line.split('  ')) for line in lines]


def test_the_frozen_encoder_is_set_beside_the_last_evaluation(trained: Runner):
    """That its figures are right, test_tools.py shows."""
    text = log(trained)
    frozen, again = figures(text, 'frozen encoder')
    assert frozen == again
    [after] = figures(text, 'after training')
    hub = trained.message_hub
    assert after == {
        f'Recall@{k}': f'{hub.get_scalar(f"val/retrieval/Recall@{k}").current():.2f}'
        for k in (1, 2, 4, 8)
    }
    assert text.index('after training') > text.rindex('Epoch(val)')


@pytest.mark.parametrize(
    ('tuning', 'options'),
    [
        (dict(type='VPTDeep', num_tokens=2), {}),
        (None, {'model.neck': dict(type='LinearNeck', out_channels=8, norm_cfg=None)}),
    ],
)
def test_what_does_not_start_at_the_frozen_encoder_is_not_called_so(
    make_runner: MakeRunner, tmp_path: Path, tuning: dict | None, options: dict
):
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 1, **options}, tuning=tuning)
    runner.train()
    text = log(runner)
    assert len(figures(text, 'before training')) == 2
    assert 'frozen encoder' not in text


def test_a_run_that_does_not_start_frozen_has_no_baseline(
    make_runner: MakeRunner, trained: Runner, resumed: Runner, tmp_path: Path
):
    checkpoint = str(Path(trained.work_dir) / 'epoch_2.pth')
    loaded = make_runner(tmp_path, {'load_from': checkpoint, 'train_cfg.max_epochs': 1})
    loaded.train()
    for runner in (resumed, loaded):
        text = log(runner)
        assert 'Epoch(train)' in text
        assert 'frozen encoder' not in text and 'after training' not in text


@HOOKS.register_module()
class SpyHook(Hook):
    """Note when an evaluation calls the hooks."""

    def before_run(self, runner: Runner) -> None:
        self.epochs: list[int] = []

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.epochs.append(runner.epoch)


STOP = """
custom_hooks = [
    dict(type='EarlyStoppingHook', monitor='retrieval/Recall@1', rule='greater', patience=1,
         min_delta=200),
    dict(type='SpyHook'),
]
default_hooks = dict(checkpoint=dict(save_best='retrieval/Recall@1'))
"""


def test_no_other_hook_takes_the_frozen_evaluation_for_an_epoch(
    make_runner: MakeRunner, tmp_path: Path
):
    runner = make_runner(tmp_path, child=STOP)
    runner.train()
    assert figures(log(runner), 'frozen encoder')
    [spy] = [hook for hook in runner.hooks if isinstance(hook, SpyHook)]
    assert spy.epochs == [1, 2]  # the second does not improve on the first: training stops
    [best] = tmp_path.glob('best_*.pth')
    assert re.search(r'epoch_[12]\.pth', best.name)
    scalars = [json.loads(line) for line in next(tmp_path.rglob('scalars.json')).open()]
    curve = {s['step']: s['retrieval/Recall@1'] for s in scalars if 'retrieval/Recall@1' in s}
    assert list(curve) == [1, 2]
    assert max(curve.values()) == runner.message_hub.get_info('best_score')
    assert 'before_training/retrieval/Recall@1' in scalars[0]
    # Early stopping belongs to training: testing goes without it.
    test = {'train_cfg': None, 'train_dataloader': None, 'optim_wrapper': None}
    options = {**test, 'param_scheduler': None, 'model.head': None}
    assert make_runner(tmp_path / 'test', options, STOP).test()


NAMES = {
    'trainable_parameters': 'TrainableParametersHook',
    'frozen_baseline': 'FrozenBaselineHook',
    'epoch_seed': 'EpochSeedHook',
    'non_finite_loss': 'NonFiniteLossHook',
    'resumed_schedule': 'ResumedScheduleHook',
    'encoder_check': 'EncoderCheckHook',
    'adapter_checkpoint': 'AdapterCheckpointHook',
    'timer': 'IterTimerHook',
}


@pytest.mark.parametrize('off', [{}, NAMES])
def test_hooks_are_switched_off_by_their_names(make_runner: MakeRunner, tmp_path: Path, off: dict):
    child = f"custom_hooks = [dict(type='SpyHook')]\ndefault_hooks = {dict.fromkeys(off)}"
    present = {type(hook).__name__ for hook in make_runner(tmp_path, child=child).hooks}
    assert present & set(NAMES.values()) == (set() if off else set(NAMES.values()))
    assert {'SpyHook', 'CheckpointHook', 'LoggerHook', 'ParamSchedulerHook'} <= present


@MODELS.register_module()
class PlainModel(BaseModel):
    """A model of one layer without backbone, neck and head."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8, 32)

    def forward(self, inputs: torch.Tensor, data_samples: list, mode: str = 'tensor'):
        features = self.layer(inputs.float() / 255).flatten(1)
        if mode == 'loss':
            return dict(loss=features.square().mean())
        for sample, feature in zip(data_samples, features, strict=True):
            sample.set_field(feature, 'embedding')
        return data_samples


RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8, out_indices=(3,))
CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=RESNET,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
)


@pytest.mark.parametrize('model', [dict(type='PlainModel'), CLASSIFIER])
def test_the_hooks_work_with_models_that_are_not_ours(
    make_runner: MakeRunner, tmp_path: Path, model: dict
):
    accuracy = "val_evaluator = dict(_delete_=True, type='Accuracy', topk=(1,))\n"
    child = f"""model = dict(_delete_=True, **{model})
train_dataloader = dict(dataset=dict(split='train', pipeline={{{{_base_.test_pipeline}}}}))
val_dataloader = dict(dataset=dict(split='train'))
{accuracy * ('head' in model)}
test_dataloader = val_dataloader
"""
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 1}, child)
    runner.train()
    text = log(runner)
    assert 'trainable parameters' in text and 'before training' in text
    assert 'frozen encoder' not in text
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert saved['state_dict'].keys() == runner.model.state_dict().keys()
    resumed = make_runner(tmp_path, {'train_cfg.max_epochs': 2}, child, resume='auto')
    resumed.train()
    file = publish(str(tmp_path / 'epoch_2.pth'), str(tmp_path / 'model.safetensors'), True)
    load_adapter(again := MODELS.build(model), str(file))
    own = again.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(own[name], tensor) is not name.startswith('head.')


def test_an_average_is_interpolated_too(make_runner: MakeRunner, tmp_path: Path):
    child = "custom_hooks = [dict(type='EMAHook')]\n"
    hook, found = {'default_hooks.interpolation': dict(type='InterpolationHook', share=0.0)}, []
    for options in ({}, hook):
        runner = make_runner(tmp_path, options, child, tuning=dict(type='Full'))
        kept = runner.model.backbone.host.state_dict()
        start = {name: value.clone() for name, value in kept.items()}
        for value in kept.values():
            value += 0.5
        runner.call_hook('before_run')  # the average begins with these weights
        runner.call_hook('before_test_epoch')
        state = runner.model.backbone.host.state_dict()
        found.append(all(torch.allclose(state[name], start[name], atol=1e-5) for name in start))
    assert found == [False, True]


def test_a_test_of_none_of_the_tuning_is_that_of_the_frozen_encoder(
    make_runner: MakeRunner, trained: Runner, tmp_path: Path
):
    found = []
    for share in (0.0, 1.0):
        hook = {'default_hooks.interpolation': dict(type='InterpolationHook', share=share)}
        runner = make_runner(tmp_path / f'{share}', hook)
        load_adapter(runner.model, str(Path(trained.work_dir) / 'epoch_3.pth'))
        found.append(runner.test()['retrieval/Recall@1'])
    scalars = trained.message_hub.get_scalar
    with pytest.raises(ValueError, match='InterpolationHook'):
        make_runner(tmp_path / 'train', hook).train()
    frozen = make_runner(tmp_path / 'frozen', tuning=dict(type='ICA', rank=4)).test()
    assert found[0] == pytest.approx(frozen['retrieval/Recall@1'])
    assert found[1] == pytest.approx(scalars('val/retrieval/Recall@1').current())
    assert found[0] != found[1]
