import os
import subprocess
import sys
from pathlib import Path

import pytest

from dva_mm.__main__ import main
from dva_mm.export import packages
from dva_mm.retrieval import Index, Retriever

ROOT = Path(__file__).resolve().parents[2]
DEMO = 'dva_mm::dva_demo.py'


def test_the_command_writes_a_file_that_index_takes(tmp_path, photos, capsys):
    out = tmp_path / 'new' / 'demo.pt2'
    assert main(['export', DEMO, '--out', str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    index = ['index', str(photos), '--out', str(tmp_path / 'photos.index'), '--workers', '0']
    assert main([*index, '--model', str(out), '--device', 'cpu']) == 0
    with Index.open(tmp_path / 'photos.index') as made:
        assert len(made) == 7
        made.use(Retriever.load(DEMO, device='cpu'))


def test_an_exported_file_runs_without_the_code_of_models(exported, photos, tmp_path):
    """In a process of its own, which lists what it imports."""
    command = ['-X', 'importtime', '-m', 'dva_mm', 'index', str(photos), '--workers', '0']
    command += ['--model', str(exported()[0]), '--out', str(tmp_path / 'photos.index')]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '7 added' in done.stdout
    lines = [line.split('|')[-1].strip() for line in done.stderr.splitlines() if '|' in line]
    assert 'onnxruntime' in lines
    assert not {'mmpretrain.models', 'dva_mm.models', 'timm', 'onnx'} & {*lines}


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ([DEMO, '--out', 'model.bin'], 'model.bin'),
        ([DEMO, '--out', 'model.pt2', '--precision', 'int8'], 'int8'),
        ([DEMO, 'gone.pth', '--out', 'model.pt2'], 'gone.pth'),
        (['gone.py', '--out', 'model.pt2'], 'gone.py'),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['export', *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    (error,) = [line for line in lines if line.startswith('error: ')]
    assert said in error
    assert not [*tmp_path.iterdir()]


def test_a_missing_package_is_named_with_the_extra(exported, monkeypatch, capsys):
    file = exported()[0]
    monkeypatch.setattr(packages, 'find_spec', lambda name: None if name[:4] == 'onnx' else name)
    assert main(['export', DEMO, '--out', 'model.onnx']) == 2
    error = capsys.readouterr().err
    assert 'onnxscript' in error and 'pip install "dva_mm[export]"' in error
    with pytest.raises(ImportError, match='onnxruntime'):
        Retriever.load(file)
