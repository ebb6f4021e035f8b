"""tools/benchmark_train.py on a tiny ViT: each contender trains what it says."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark_train.py'
TINY = ['--models', 'test_vit:32', '--batch=2', '--rounds=2']
TRAINS = dict(  # parts of the names of what trains
    timm=(),
    bare=(),
    ica_forward=(),
    floor=(),
    ica=('_down.', '_up.'),
    dva=('_down.', '_up.', 'head.proxies'),
    tokens=('_down.', '_up.', 'head.proxies'),
    ica_3=('_down.', '_up.'),
    lora=('lora_',),
    mmpretrain=('lora_',),
    adaptformer=('adapt_mlp.',),
    full=('',),
)


@pytest.fixture(scope='module')
def benchmark():
    spec = importlib.util.spec_from_file_location('benchmark_train', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_contender_trains_what_it_says(benchmark):
    assert TRAINS.keys() == benchmark.CONTENDERS.keys()
    images = torch.randn(2, 3, 32, 32)
    for name, parts in TRAINS.items():
        contender = benchmark.CONTENDERS[name]
        model, pixels = contender.build('test_vit', 32), images.clone()
        loss = contender.forward(model, pixels)
        if loss is not None:
            loss.backward()
        assert (loss is None) == (name in ('timm', 'bare', 'ica_forward'))
        assert (pixels.grad is not None) == (name == 'floor')
        trained = {n for n, p in model.named_parameters() if p.grad is not None}
        named = {n for n, _ in model.named_parameters() if any(part in n for part in parts)}
        assert trained == named, name
        # None of its gradients is zero, as an up-projection of zeros would make them.
        assert all(model.get_parameter(n).grad.any() for n in trained), name


def test_each_contender_gets_its_row(benchmark, capsys, tmp_path):
    out, names = tmp_path / 'rows.jsonl', ['floor', 'ica', 'dva', 'ica_3']
    benchmark.main([*TINY, '--contenders', *names, '--precision=bf16', '--json', str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row['contender'] for row in rows] == names
    assert all(row['seconds'] > 0 and row['to_floor'] > 0 for row in rows)
    assert rows[0]['to_floor'] == 1.0
    one, three = rows[1], rows[3]
    assert one['kept'] < three['kept'] < 3 * one['kept']  # bf16 copies of weights are kept once
    assert 'outside of the encoder' in capsys.readouterr().out


def test_precisions_stand_beside_each_other(benchmark, tmp_path):
    out = tmp_path / 'rows.jsonl'
    options = ['--contenders', 'floor', 'ica', '--precision', 'fp32', 'bf16', '--json', str(out)]
    benchmark.main([*TINY, *options])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    precisions = [(row['contender'], row['precision']) for row in rows]
    assert precisions == [(n, p) for p in ('fp32', 'bf16') for n in ('floor', 'ica')]
    assert rows[0]['to_itself'] == rows[1]['to_itself'] == rows[2]['to_floor'] == 1.0
    assert rows[3]['to_itself'] != 1.0 and rows[3]['to_floor'] != 1.0
    assert rows[2]['kept'] != rows[0]['kept']


@pytest.mark.parametrize('option', ['--batch=0', '--rounds=0', '--threads=0'])
def test_nothing_to_measure_is_refused(benchmark, option, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([*TINY, option])
    assert 'positive' in capsys.readouterr().err
