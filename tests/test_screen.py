"""Log lines stand above a progress bar, and each on its own line."""

import io
import logging
import os
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging.logger import _get_device_id
from tqdm import tqdm

from dva_mm.engine import ProgressBarHook
from dva_mm.screen import allow_shared_gpus, quieten


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_the_log_clears_the_bar_first():
    terminal = Terminal()
    logger = logging.Logger('bars')
    logger.addHandler(logging.StreamHandler(terminal))
    quieten(logger)
    with tqdm(total=2, file=terminal, mininterval=0) as bar:
        bar.update()
        logger.info('half of it')
    before = terminal.getvalue().split('half of it')[0]
    assert before.endswith('\r') and '1/2' in before
    assert 'half of it\n' in terminal.getvalue()


def test_a_stream_that_was_closed_gives_way_to_standard_output(capsys):
    terminal = Terminal()
    logger = logging.Logger('closed')
    logger.addHandler(logging.StreamHandler(terminal))
    for _ in range(2):  # as it came, and when it stands above bars already
        quieten(logger).info('first')
        logger.handlers[0].stream.stream.close()
        quieten(logger).info('second')
        assert capsys.readouterr().out == 'second\n'
        logger.handlers[0].setStream(Terminal())


def run(hook: ProgressBarHook, steps: int, done: int = 0) -> None:
    runner = SimpleNamespace(max_iters=steps, iter=done)
    hook.before_train(runner)
    for step in range(done, steps):
        runner.iter = step
        hook.after_train_iter(runner, step, outputs=dict(loss=0.25))
    hook.after_train(runner)


def test_the_bar_counts_steps_from_where_a_run_goes_on_and_shows_the_loss(
    monkeypatch: pytest.MonkeyPatch,
):
    terminal = Terminal()
    monkeypatch.setattr(sys, 'stderr', terminal)
    run(ProgressBarHook(), steps=20, done=9)
    first, *_, last = [text for text in terminal.getvalue().split('\r') if text.strip()]
    assert '9/20' in first and '20/20' in last and 'loss=0.250' in last


def test_there_is_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture):
    run(ProgressBarHook(), steps=3)
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('gpus', 'rank', 'visible', 'then'),
    [(1, 1, None, '0,-1'), (1, 2, '3', '3,-1,-1'), (2, 1, None, None), (0, 1, '', '')],
)
def test_processes_that_share_a_gpu_have_loggers(monkeypatch, gpus, rank, visible, then):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setenv('LOCAL_RANK', str(rank))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # so that it is put back afterwards
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    allow_shared_gpus()
    assert os.environ.get('CUDA_VISIBLE_DEVICES') == then
    assert isinstance(_get_device_id(), int)  # MMEngine's, which names the file of a log by it
