"""tools/gpu.py: its commands are those that the tools take, and a failure does not end it."""

import importlib.util
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from dva_mm.study.command import parse_arguments

ROOT = Path(__file__).resolve().parents[1]
STEPS = 9


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_printed_command_is_one_that_its_tool_takes(load, monkeypatch, capsys, tmp_path):
    gpu = load('gpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert gpu.main(['--dry-run', '--out', str(tmp_path / 'out of the way')]) == 0
    parsers = {
        'benchmark_train.py': load('benchmark_train').parse_args,
        'benchmark_search.py': load('benchmark_search').parse_args,
        'study.py': parse_arguments,
    }
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == STEPS and not (tmp_path / 'out of the way').exists()
    tests, *commands = [shlex.split(line) for line in lines]
    assert tests[:5] == [sys.executable, '-m', 'pytest', '-m', 'gpu'] and Path(tests[-1]).is_dir()
    used = set()
    for command in commands:
        variables = [word for word in command if '=' in word.split('/')[0]]
        python, tool, *arguments = command[len(variables) :]
        assert python == sys.executable and Path(tool).is_file()
        args = parsers[Path(tool).name](arguments)
        used.add(Path(tool).name)
        if Path(tool).name == 'study.py':
            assert Path(args.study).is_file() and variables[0].startswith('DATA=')
        else:
            assert args.json.parent == tmp_path / 'out of the way'
    assert used == parsers.keys()


def test_stages_and_sets_are_chosen(load, capsys):
    gpu = load('gpu')
    sets = ['--data', 'planted', 'cars', '--planted', 'a/planted_000', 'a/planted_050']
    gpu.main(['study', '--dry-run', *sets])
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split(sys.executable)[0].strip() for line in lines]
    planted = [f'DATA=planted PLANTED=a/planted_{share}' for share in ('000', '050')]
    assert starts == [*planted, 'DATA=cars']
    with pytest.raises(SystemExit):
        gpu.main(['meassure'])
    assert 'meassure' in capsys.readouterr().err


def test_without_a_gpu_nothing_runs(load, monkeypatch, capsys, tmp_path):
    gpu = load('gpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(gpu, 'check', lambda args: [gpu.Step('tests', [sys.executable, '-V'])])
    assert gpu.main(['check', '--out', str(tmp_path / 'out')]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith('nothing ran') and not (tmp_path / 'out').exists()


def test_a_failure_is_named_at_the_end_and_the_rest_runs(load, monkeypatch, capsys, tmp_path):
    gpu = load('gpu')

    def steps(args):
        python = [sys.executable, '-S', '-c']
        yield gpu.Step('breaks', [*python, 'print("too bad"); raise SystemExit(3)'])
        yield gpu.Step('works', [*python, 'import os; print(os.environ["A"])'], dict(A='this one'))

    monkeypatch.setattr(gpu, 'check', steps)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'a card')
    assert gpu.main(['check', '--out', str(tmp_path)]) == 1
    *_, broken, working = capsys.readouterr().out.splitlines()
    assert broken.split()[:2] == ['breaks', 'FAILED'] and working.split()[:2] == ['works', 'passed']
    assert (tmp_path / 'breaks.log').read_text() == 'too bad\n'
    assert (tmp_path / 'works.log').read_text() == 'this one\n'


def test_the_encoder_of_extraction_loads_without_a_download(load, tmp_path):
    from dva_mm import load_config

    gpu = load('gpu')
    (tmp_path / 'vit_base.py').write_text(gpu.MODEL)
    backbone = load_config(tmp_path / 'vit_base.py').model.backbone
    assert backbone.pretrained is False and backbone.arch.startswith('vit_base_patch16_224')
