"""tools/benchmark_search.py --oml, where OML is not installed and with a stand-in for it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'benchmark_search.py'


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FILE.parent))
    spec = importlib.util.spec_from_file_location('benchmark_search', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_missing_oml_is_named(benchmark, monkeypatch):
    monkeypatch.setitem(sys.modules, 'oml', None)
    with pytest.raises(SystemExit, match='open-metric-learning'):
        benchmark.main(['--oml', '--images', '2', '--device', 'cpu'])


def test_both_embed_the_same_files_alike(benchmark, monkeypatch, capsys):
    """The stand-in reads as OML does: Pillow, torchvision's transforms, then the model."""
    from PIL import Image

    datasets, inference = ModuleType('oml.datasets'), ModuleType('oml.inference')
    datasets.ImageBaseDataset = lambda files, transform: [
        transform(Image.open(file).convert('RGB')) for file in files
    ]
    inference.inference = lambda model, rows, *_: torch.no_grad()(model)(torch.stack(rows))
    for name, module in (('oml', ModuleType('oml')), ('oml.datasets', datasets)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, 'oml.inference', inference)
    options = ['--images', '3', '--batch-size', '2', '--workers', '0', '--repeats', '1']
    benchmark.main(['--oml', *options, '--device', 'cpu'])
    words = capsys.readouterr().out.replace(',', '').split()
    assert words[0] == 'oml:' and float(words[words.index('mean_cosine') + 1]) > 0.5
