"""The benchmark on a tiny set: the contenders agree, and what fails is said."""

import importlib.util
import re
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark_metric.py'
TINY = ['--images=24', '--dims=8', '--per-class=4', '--topk', '1', '5', '--repeats=2']


@pytest.fixture(scope='module')
def benchmark():
    spec = importlib.util.spec_from_file_location('benchmark_metric', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_contender_gets_its_line(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(
        benchmark.subprocess, 'run', lambda *a, **k: type('Done', (), {'stdout': '250000000'})
    )
    right = []

    def fails(embeddings, labels, topk):
        right.append((embeddings.shape, labels.bincount().tolist(), topk))
        raise AttributeError('np.in1d is gone')

    monkeypatch.setitem(benchmark.CONTENDERS, 'mmpretrain', fails)
    benchmark.main(TINY)
    out = capsys.readouterr().out
    assert out.startswith('24 x 8, 4 images per class, topk [1, 5]\n')
    for name in ('ours', 'pml', 'pml_k'):
        line = rf'^{re.escape(benchmark.TITLES[name])}: \d+\.\d\d s \(.* x the first\), 0\.25 GB'
        assert re.search(line, out, re.MULTILINE)
    gaps = re.findall(r'largest difference from the first: (\S+)', out)
    assert [float(gap) < 1e-9 for gap in gaps] == [True, True]
    assert f'{benchmark.TITLES["mmpretrain"]}: fails, np.in1d is gone' in out
    assert right == [((24, 8), [4] * 6, [1, 5])]  # once is enough


def test_contenders_agree(benchmark):
    data = benchmark.draw(24, 8, 4)
    ours = benchmark.ours(*data, topk=(1, 5))
    assert set(ours) == {'Recall@1', 'Recall@5', 'Precision@1', 'R-precision', 'MAP@R'}
    for name in ('pml', 'pml_k'):
        got = benchmark.CONTENDERS[name](*data, topk=(1, 5))
        assert got == pytest.approx({key: ours[key] for key in got})
        assert len(got) == 3
    assert 0 < ours['MAP@R'] < ours['Recall@5']


@pytest.mark.filterwarnings('ignore:__array__:DeprecationWarning')
def test_recall_of_mmpretrain_agrees_where_numpy_still_has_its_function(benchmark, monkeypatch):
    import numpy as np

    monkeypatch.setattr(np, 'in1d', np.isin, raising=False)
    data = benchmark.draw(24, 8, 4)
    got = benchmark.mmpretrain(*data, topk=(1, 5))
    ours = benchmark.ours(*data, topk=(1, 5))
    assert got == pytest.approx({key: ours[key] for key in ('Recall@1', 'Recall@5')})


def test_memory_is_that_of_the_contender(benchmark, monkeypatch):
    held = []

    def hungry(embeddings, labels, topk):
        if len(labels) == 24:
            held.append(bytearray(b'x' * 100_000_000))
        return {}

    monkeypatch.setitem(benchmark.CONTENDERS, 'pml', hungry)
    peak = benchmark.peak_memory('pml', benchmark.parse_args(TINY))
    assert held
    assert 99e6 < peak < 400e6


@pytest.mark.parametrize('option', ['--images=7', '--per-class=1', '--repeats=0'])
def test_a_set_without_answers_is_refused(benchmark, option, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse_args([*TINY, option])
    assert 'two classes of at least two images' in capsys.readouterr().err
