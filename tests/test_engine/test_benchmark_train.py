"""tools/benchmark_train.py on a tiny ViT: each contender trains what it says."""

import importlib.util
import json
import weakref
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
    full_3=('',),
)


@pytest.fixture(scope='module')
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FILE.parent))
        spec = importlib.util.spec_from_file_location('benchmark_train', FILE)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    limit = torch._dynamo.config.recompile_limit
    yield module
    torch._dynamo.config.recompile_limit = limit


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_contender_trains_what_it_says(benchmark):
    assert TRAINS.keys() == benchmark.CONTENDERS.keys()
    images = torch.randn(2, 3, 32, 32)
    for name, parts in TRAINS.items():
        contender = benchmark.CONTENDERS[name]
        model, pixels = contender.build('test_vit', 32), images.clone()
        loss = contender.forward(model, pixels, contender.samples(model, pixels))
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
    rows = read(out)
    assert [row['contender'] for row in rows] == names
    assert all(row['seconds'] > 0 and row['to_floor'] > 0 for row in rows)
    assert all(row['images_s'] == pytest.approx(2 / row['seconds']) for row in rows)
    assert rows[0]['to_floor'] == 1.0
    one, three = rows[1], rows[3]
    assert one['kept'] < three['kept'] < 3 * one['kept']  # bf16 copies of weights are kept once
    assert 'outside of the encoder' in capsys.readouterr().out


def test_precisions_stand_beside_each_other(benchmark, tmp_path):
    out = tmp_path / 'rows.jsonl'
    options = ['--contenders', 'floor', 'ica', '--precision', 'fp32', 'bf16', '--json', str(out)]
    benchmark.main([*TINY, *options])
    rows = read(out)
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


def test_the_memory_has_weights_gradients_and_the_state_of_adam(benchmark, tmp_path):
    out, memory = tmp_path / 'rows.jsonl', {}
    for optimizer in ([], ['--optimizer']):
        options = ['--contenders', 'bare', 'dva', 'full', 'full_3', *optimizer]
        benchmark.main([*TINY, *options, '--rounds=1', '--json', str(out)])
        memory[bool(optimizer)] = {row['contender']: row for row in read(out)}
    without, with_state = memory[False], memory[True]
    weights = without['bare']['memory']
    full = without['full']
    assert full['memory'] == 2 * weights + full['kept']
    added = with_state['full']['memory'] - full['memory']
    assert 2 * weights < added < 2.01 * weights  # two moments, and a counter of steps a tensor
    assert with_state['bare']['memory'] == weights
    assert with_state['dva']['memory'] - without['dva']['memory'] < weights
    ratio = with_state['dva']['memory'] / with_state['full_3']['memory']
    assert with_state['dva']['memory_to_full_3'] == ratio < with_state['dva']['memory_to_full']


def test_what_a_forward_keeps_is_free_once_it_was_counted(benchmark, monkeypatch):
    kept = []

    def forward(model, images, samples):
        result = images.requires_grad_().exp()  # whose backward needs the result
        kept.append(weakref.ref(result))
        return result.sum()

    monkeypatch.setattr(benchmark.CONTENDERS['floor'], 'forward', forward)
    args = benchmark.parse_args([*TINY, '--contenders', 'floor', '--rounds=1'])
    [row] = benchmark.measure('test_vit', 32, args)
    assert row['kept'] == 2 * 3 * 32 * 32 * 4
    assert [reference() for reference in kept] == [None] * len(kept)


def test_a_contender_beyond_the_memory_is_named_and_others_go_on(benchmark, monkeypatch, capsys):
    def forward(model, images, samples):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried 2 GiB. GPU 0 has a total of ...')

    monkeypatch.setattr(benchmark.CONTENDERS['full'], 'forward', forward)
    args = benchmark.parse_args([*TINY, '--contenders', 'full', 'ica', '--rounds=1'])
    rows = [*benchmark.measure('test_vit', 32, args)]
    assert rows[0]['error'] == 'CUDA out of memory. Tried 2 GiB' and 'seconds' not in rows[0]
    assert rows[1]['seconds'] > 0 and 'memory_to_full' not in rows[1]
    assert 'full fine-tuning' in capsys.readouterr().out


def test_the_profile_tells_the_share_of_matrix_products(benchmark, tmp_path, capsys):
    out = tmp_path / 'rows.jsonl'
    options = ['--contenders', 'bare', 'ica', '--optimizer', '--profile', '--rounds=1']
    benchmark.main([*TINY, *options, '--json', str(out)])
    for row in read(out):
        assert 0 < row['products'] < 1 and len(row['others']) == 5
        shares = [share for _, share in row['others']]
        assert shares == sorted(shares, reverse=True) and sum(shares) + row['products'] <= 1
    assert 'aten::' in capsys.readouterr().out


def test_dva_trains_from_files_through_the_real_loader(benchmark, tmp_path):
    out = tmp_path / 'rows.jsonl'
    options = ['--models', 'test_vit', '--batch=2', '--rounds=1', '--contenders', 'bare']
    files = ['--loader', '1', '--loader-size', '60x50', '--loader-images', '3']
    benchmark.main([*options, *files, '--json', str(out)])
    row = read(out)[-1]
    assert (row['contender'], row['loader'], row['steps']) == ('dva', 1, 2)
    assert row['images_s'] > 0 and 0 < row['idle'] == row['waiting'] < 1


def test_the_loader_gives_the_three_views_of_the_drawn_images(benchmark, tmp_path):
    table = benchmark.loader_idle.draw(tmp_path, (60, 50), 3)
    batches = [*benchmark.loader_idle.make_loader(table, 2, 1, 4, pin=False)]
    assert len(batches) >= 4
    for batch in batches:
        assert [tuple(view.shape) for view in batch['inputs']] == [(2, 3, 224, 224)] * 3
    assert {int(s.gt_label) for b in batches for s in b['data_samples']} == {0, 1, 2}


@pytest.mark.parametrize(
    ('options', 'said'),
    [(['--loader', '4'], '32'), (['--loader', '0'], '--loader'), (['--device', 'cuda'], 'cuda')],
)
def test_what_cannot_be_measured_is_refused(benchmark, options, said, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit):
        benchmark.main([*TINY, *options])
    assert said in capsys.readouterr().err
