"""tools/benchmark_proxies.py on few classes, and its arithmetic by hand."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tool_module import load_tool

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark_proxies.py'


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark_proxies')


def test_each_rate_gets_its_time_and_memory(benchmark, capsys, monkeypatch):
    def child(command: list[str], **options) -> SimpleNamespace:
        benchmark.main(command[2:])  # in this process, where torch is imported
        return SimpleNamespace(stdout=capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(benchmark.subprocess, 'run', child)
    shape = ['--classes=3000', '--dims=256', '--batch=2', '--repeats=1']
    benchmark.main([*shape, '--rates', '1', '0.01'])
    last = capsys.readouterr().out  # the child took the lines before
    assert 'sample_rate 0.01: ' in last and ' GB' in last
    monkeypatch.undo()
    # In a process of its own: this one has memory to give that it freed before.
    command = [sys.executable, str(FILE), *shape, '--memory-of', '3000', '1']
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    held = 4 * 4 * 3001 * 256  # weights, gradient and two moments
    assert held / 2 < int(found.splitlines()[-1]) < 20 * held


@pytest.mark.parametrize('gpus', [1, 4])
def test_the_arithmetic_is_that_of_the_tensors(benchmark, gpus):
    step = benchmark.Step(classes=9, dims=5, batch=2)
    step(1.0)  # Adam makes its moments
    (state,) = step.optimizer.state.values()
    moments = [state[name] for name in ('exp_avg', 'exp_avg_sq')]
    weights = step.head.proxies
    figures = benchmark.on_paper(9, gpus, rate=0.4, dims=5, batch=2, images_per_second=30)
    held = 4 * (2 * weights.numel() + sum(moment.numel() for moment in moments))
    assert figures['proxies with Adam, GB'] == pytest.approx(held / 1e9)
    assert figures['logits of a step, GB'] == pytest.approx(
        4 * (3 * 2 * gpus) * 5 / 1e9
    )  # 4 + 1 proxies
    gathered, reduced = (4 * 6 * gpus * (5 + 1) / 1e6, 4 * 50 / 1e6) if gpus > 1 else (0, 0)
    assert figures['gathered a step, MB'] == pytest.approx(gathered)
    assert figures['gradient of the proxies reduced a step, MB'] == pytest.approx(reduced)
    assert figures['steps/s'] == 15 and figures['images/s of all loaders'] == 30 * gpus


def test_on_paper_names_the_classes_that_fill_a_card(benchmark, capsys):
    benchmark.main(['--on-paper', '--dims=250', '--classes=100', '--gpus=1', '--rates=1'])
    out = capsys.readouterr().out
    assert '24 GB at 6,000,000 classes' in out and '80 GB at 20,000,000 classes' in out


@pytest.mark.parametrize('option', ['--classes=0', '--gpus=0', '--repeats=0', '--batch=-1'])
def test_nothing_to_measure_is_refused(benchmark, option, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([option])
    assert option[:-2].rstrip('=') in capsys.readouterr().err
