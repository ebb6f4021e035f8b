"""The hooks, in real runs on the tiny ViT."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from dva_mm.engine import EpochSeedHook, NonFiniteLossHook, hooks

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


def test_an_iteration_based_loop_keeps_its_random_numbers(trained: Runner):
    loop = IterBasedTrainLoop(trained, trained.train_dataloader, max_iters=3)
    torch.manual_seed(3)
    expected = torch.rand(())
    torch.manual_seed(3)
    EpochSeedHook().before_train_epoch(SimpleNamespace(train_loop=loop, seed=0, epoch=0))
    assert torch.rand(()) == expected


def test_a_nan_loss_stops_the_run_and_keeps_the_older_checkpoint(
    make_runner: MakeRunner, tmp_path: Path
):
    runner = make_runner(tmp_path, {'default_hooks.poison': dict(type='PoisonHook')})
    with pytest.raises(ValueError) as error:
        runner.train()
    message = str(error.value)
    assert 'Training stopped at epoch 2, iteration 3' in message
    assert "'loss_proxy': nan" in message
    assert str(tmp_path) in message and 'optim_wrapper.optimizer.lr' in message
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize(
    ('batch_idx', 'iteration', 'looks'),
    [(0, 0, False), (1, 1, True), (2, 2, False), (4, 4, True), (2, 99, True)],
)
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_losses_are_looked_at_every_interval_and_at_the_end(
    batch_idx: int, iteration: int, looks: bool, value: float
):
    runner = SimpleNamespace(
        iter=iteration, max_iters=100, epoch=0, work_dir='w', train_dataloader=range(5)
    )
    outputs = dict(loss=torch.tensor(1.0), loss_dpt=torch.tensor(value), loss_proxy=1.0)
    check = NonFiniteLossHook(interval=2).after_train_iter
    if looks:
        with pytest.raises(
            ValueError, match=rf"iteration {batch_idx + 1}: {{'loss_dpt': {value}}}"
        ):
            check(runner, batch_idx, outputs=outputs)
    else:
        check(runner, batch_idx, outputs=outputs)
    check(runner, batch_idx, outputs=dict(loss=torch.tensor(1.0)))


def figures(text: str, name: str) -> list[dict[str, str]]:
    """What lines like 'after training: Recall@1 33.33  Recall@2 50.00' say."""
    lines = re.findall(rf'{name}: (Recall.*)', text)
    return [dict(pair.split(' ') for pair in line.split('  ')) for line in lines]


def test_the_frozen_encoder_is_evaluated_first_and_set_beside_the_last_evaluation(
    make_runner: MakeRunner, trained: Runner, tmp_path: Path
):
    text = log(trained)
    frozen, again = figures(text, 'frozen encoder')
    assert frozen == again
    assert text.index('frozen encoder: ') < text.index('Epoch(train)')
    metrics = make_runner(tmp_path, {'model.backbone.ica': None}).test()
    assert frozen == {name.split('/')[1]: f'{value:.2f}' for name, value in metrics.items()}
    [after] = figures(text, 'after training')
    hub = trained.message_hub
    assert after == {
        f'Recall@{k}': f'{hub.get_scalar(f"val/retrieval/Recall@{k}").current():.2f}'
        for k in (1, 2, 4, 8)
    }
    assert text.index('after training') > text.rindex('Epoch(val)')


@pytest.mark.parametrize(
    'options',
    [
        {'model.backbone.ica': None, 'model.backbone.tuning': dict(type='VPTDeep', num_tokens=2)},
        {'model.neck': dict(type='LinearNeck', out_channels=8, norm_cfg=None)},
    ],
)
def test_what_does_not_start_at_the_frozen_encoder_is_not_called_so(
    make_runner: MakeRunner, tmp_path: Path, options: dict
):
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 1, **options})
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


def test_the_baseline_is_no_obstacle_to_saving_the_best(make_runner: MakeRunner, tmp_path: Path):
    options = {
        'default_hooks.checkpoint.save_best': 'retrieval/Recall@1',
        'default_hooks.checkpoint.rule': 'greater',
        'train_cfg.max_epochs': 1,
    }
    runner = make_runner(tmp_path, options)
    runner.train()
    assert figures(log(runner), 'frozen encoder')
    assert len(list(tmp_path.glob('best_*.pth'))) == 1
