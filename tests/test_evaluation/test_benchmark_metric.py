"""tools/benchmark_metric.py on a tiny set: the contenders agree."""

import numpy as np
import pytest
from tool_module import load_tool

TINY = ['--images=24', '--dims=8', '--per-class=4', '--topk', '1', '5', '--repeats=2']


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark_metric')


def test_each_contender_gets_its_line(benchmark, capsys):
    benchmark.main([*TINY, '--contenders', 'pml_k'])
    out = capsys.readouterr().out
    assert out.startswith('24 x 8, 4 images per class, topk [1, 5]\n')
    assert benchmark.CONTENDERS['pml_k'][0] in out and ' 1.00 x the first' in out
    assert 'GB above the embeddings' in out and 'MAP@R' in out


@pytest.mark.filterwarnings('ignore:__array__:DeprecationWarning')
def test_contenders_agree(benchmark, monkeypatch):
    monkeypatch.setattr(np, 'in1d', np.isin, raising=False)  # which mmpretrain needs
    data = benchmark.draw(24, 8, 4)
    ours = benchmark.ours(*data, topk=(1, 5))
    assert set(ours) == {'Recall@1', 'Recall@5', 'Precision@1', 'R-precision', 'MAP@R'}
    for name, count in (('calculator', 5), ('pml', 3), ('pml_k', 3), ('mmpretrain', 2)):
        got = benchmark.CONTENDERS[name][1](*data, topk=(1, 5))
        assert got == pytest.approx({key: ours[key] for key in got})
        assert len(got) == count
    assert 0 < ours['MAP@R'] < ours['Recall@5']


@pytest.mark.parametrize('option', ['--images=7', '--per-class=1', '--repeats=0'])
def test_a_set_without_answers_is_refused(benchmark, option, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([*TINY, option])
    assert 'two classes of at least two images' in capsys.readouterr().err


def test_each_set_is_compared_and_needs_both_its_numbers(benchmark, monkeypatch, capsys):
    sets = []
    monkeypatch.setattr(benchmark, 'compare', lambda *part: sets.append(part[:2]))
    benchmark.main(['--images', '24', '12', '--per-class', '4', '6'])
    assert sets == [(24, 4), (12, 6)]
    with pytest.raises(SystemExit):
        benchmark.main(['--images', '24', '12'])
    assert '--per-class' in capsys.readouterr().err
