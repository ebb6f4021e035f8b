"""The losses in the log are those of each step, read once an interval."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from no_waiting import Watch

from dva_mm.engine import DeferredRuntimeInfoHook, NonFiniteLossHook
from dva_mm.engine.runtime_info import read_scalars

NO_EVALUATION = 'val_cfg = val_dataloader = val_evaluator = None'
TIMES = {'time', 'data_time', 'memory', 'epoch', 'iter', 'step'}


class Stub:
    """A run of 10 iterations an epoch, of which the log is written every 4."""

    def __init__(self, name: str) -> None:
        self.message_hub = MessageHub.get_instance(name)
        self.train_dataloader, self.iter, self.max_iters, self.epoch = range(10), 0, 20, 0


def test_the_log_is_that_of_mmengines_hook(make_runner: Callable[..., Runner], tmp_path: Path):
    found = []
    for kind in ('RuntimeInfoHook', 'DeferredRuntimeInfoHook'):
        options = {
            'default_hooks.runtime_info.type': kind,
            'default_hooks.logger.interval': 2,
            'log_processor.window_size': 3,
        }
        runner = make_runner(tmp_path / kind, options, NO_EVALUATION)
        runner.train()
        assert type(runner.hooks[0]).__name__ == kind
        [file] = Path(runner.work_dir).glob('*/vis_data/scalars.json')
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        hub = runner.message_hub.log_scalars
        values = {n: hub[n].data[0].tolist() for n in hub if n.split('/')[1] not in TIMES}
        lines = [{n: v for n, v in line.items() if n not in TIMES - {'step'}} for line in lines]
        found.append((lines, values))
    assert found[0] == found[1]
    lines, values = found[0]
    assert sum('loss_dpt' in line for line in lines) >= 3
    assert len(values['train/loss_dpt']) == runner.iter == 9


def test_the_device_is_read_once_an_interval():
    hook, runner, reads = DeferredRuntimeInfoHook(), Stub('reads'), []
    hook.interval = 4
    for step in range(20):
        runner.iter = step
        weight = torch.ones((), requires_grad=True)
        terms = {name: weight * step + i for i, name in enumerate(('loss', 'loss_dpt', 'mined'))}
        with Watch() as watch:
            hook.after_train_iter(runner, step % 10, outputs=terms)
        reads += [step % 10] * len(watch.found)
    assert reads == [3, 7, 9] * 2
    scalar = runner.message_hub.get_scalar('train/loss_dpt')
    assert scalar.data[0].tolist() == [step + 1.0 for step in range(20)]


def test_a_look_for_infinite_losses_reads_once():
    terms = {name: torch.ones(()) for name in ('loss', 'loss_proxy', 'loss_dpt')}
    with Watch() as watch:
        NonFiniteLossHook(interval=1).after_train_iter(Stub('look'), 3, outputs=terms)
    assert len(watch.found) == 1


def test_numbers_of_any_type_are_read():
    half = torch.tensor([0.3], dtype=torch.bfloat16)
    values = dict(half=half, whole=torch.tensor(3), single=torch.tensor(0.1), number=7)
    with Watch() as watch:
        got = read_scalars(values)
    assert got == dict(half=half.item(), whole=3, single=torch.tensor(0.1).item(), number=7)
    assert list(got) == list(values) and len(watch.found) == 1
    assert read_scalars({}) == {}
