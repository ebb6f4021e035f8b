"""tools/benchmark_search.py --tasks gpu: its indexes on a CPU, and a clear line without a GPU."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    faiss = pytest.importorskip('faiss')
    threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    yield lambda name: runpy.run_path(str(TOOLS / name))
    torch.set_num_threads(threads[0])
    faiss.omp_set_num_threads(threads[1])


def test_recall_is_the_share_of_the_nearest_of_all(tool):
    script = tool('benchmarks/search_gpu.py')
    drawn = tool('benchmarks/drawn_vectors.py')['Vectors'](16)
    rows, queries = drawn.draw(0, 3000), drawn.draw(1, 20)
    found = dict(script['compare'](rows, queries, batch=32))
    assert [*found] == ['flat', 'IVF'] and found['flat']['recall'] == 1
    index = script['cells'](16, len(rows), None)
    assert index.nprobe == 30  # all cells of so few vectors
    index.train(rows)
    index.add(rows)
    nearest = np.argsort(-queries @ rows.T, axis=1)[:, :10]
    ids = index.search(queries, 10)[1]
    shares = [len({*a.tolist()} & {*b.tolist()}) / 10 for a, b in zip(ids, nearest, strict=True)]
    assert found['IVF']['recall'] == pytest.approx(np.mean(shares), abs=0.02)
    for figures in found.values():
        assert 0 < figures['p50_ms'] <= figures['p95_ms'] and figures['queries_s'] > 0


def test_an_index_that_misses_half_has_half_the_recall(tool, monkeypatch):
    script = tool('benchmarks/search_gpu.py')

    class Half:
        ntotal = 0

        def train(self, rows):
            self.rows = rows

        def add(self, rows):
            self.ntotal = len(rows)

        def search(self, queries, k):
            ids = np.argsort(-queries @ self.rows.T, axis=1)[:, :k]
            ids[:, k // 2 :] = -1
            return None, ids

    monkeypatch.setitem(script['compare'].__globals__, 'cells', lambda *_: Half())
    drawn = tool('benchmarks/drawn_vectors.py')['Vectors'](16)
    found = dict(script['compare'](drawn.draw(0, 200), drawn.draw(1, 5), batch=8))
    assert found['IVF']['recall'] == 0.5


def test_without_a_gpu_a_line_says_so(tool, monkeypatch, capsys, tmp_path):
    script, out = tool('benchmark_search.py'), tmp_path / 'rows.jsonl'
    monkeypatch.setattr('faiss.get_num_gpus', lambda: 0, raising=False)
    script['main'](['--tasks', 'gpu', '--json', str(out)])
    assert 'no GPU' in capsys.readouterr().out and not out.exists()


def test_embedding_takes_a_precision_and_writes_its_row(tool, tmp_path):
    out = tmp_path / 'rows.jsonl'
    sizes = ['--images=4', '--batch-size=2', '--workers=0', '--repeats=1', '--device=cpu']
    script = tool('benchmark_search.py')
    args = script['parse_args'](['--precision', 'bf16', '--compile'])
    assert (args.precision, args.compile) == ('bf16', True)
    script['main'](['--tasks', 'extract', *sizes, '--precision', 'bf16', '--json', str(out)])
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row['task'] == 'extract' and row['ratio'] > 0
