"""tools/benchmark_export.py on a few pictures."""

import re

import numpy as np
import pytest
from tool_module import load_tool


@pytest.fixture(scope='module')
def benchmark():
    return load_tool('benchmark_export')


def test_recall_leaves_out_the_query_itself(benchmark):
    angles = np.radians([0, 10, 30, 90, 95])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert benchmark.recall_at_1(rows, np.array([0, 0, 0, 1, 1])) == 100
    assert benchmark.recall_at_1(rows, np.array([0, 1, 1, 2, 0])) == 20


def test_each_variant_gets_its_line(benchmark, photos, capsys):
    options = ['--variants', 'fp32.pt2', '--repeats=2', '--batch-size=2', '--workers=0']
    benchmark.main([str(photos), *options])
    out = capsys.readouterr().out
    assert '4 images of 2 classes' in out  # the second and third of three
    recalls = re.findall(r'^(\S+): recall_at_1 (\S+), min_cosine (\S+),', out, re.M)
    assert [name for name, *_ in recalls] == ['torch', 'fp32.pt2']
    assert recalls[0][1] == recalls[1][1] and float(recalls[1][2]) > 0.9999
