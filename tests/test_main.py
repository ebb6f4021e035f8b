"""The commands: quick to answer, silent but for what matters, one line for a mistake."""

import os
import subprocess
import sys
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

import dva_mm
from dva_mm import __main__ as command_line

ROOT = Path(__file__).resolve().parents[1]
DEMO = 'dva_mm::dva_demo.py'
DOORS = dict(module=['-m', 'dva_mm'], train=[ROOT / 'tools' / 'train.py'])


def run(arguments: list, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get('PYTHONPATH', '')])
    env = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1', **variables}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ('door', 'arguments', 'code', 'said'),
    [
        ('module', ['--help'], 0, 'boxes'),
        ('module', ['boxes', '--help'], 0, '--detector'),
        ('train', ['--help'], 0, '--resume'),
        ('module', ['trian', DEMO], 2, 'train'),
        ('module', ['train', DEMO, '--epochs=3'], 2, '--epochs'),
    ],
)
def test_help_and_mistakes_are_answered_before_torch_is_imported(
    door: str, arguments: list, code: int, said: str, tmp_path: Path
):
    (tmp_path / 'torch.py').write_text("raise RuntimeError('imports torch')")
    done = run([*DOORS[door], *arguments], tmp_path)
    assert done.returncode == code, done.stderr
    assert said in (done.stderr if code else done.stdout)


def test_importing_the_package_registers_everything_and_says_nothing(tmp_path: Path):
    """Nor does it import what only re-creates the demo's encoder."""
    # Named like a tool of ours, with arguments like a command of ours.
    (tmp_path / 'train.py').write_text(
        'import sys, dva_mm\n'
        "assert 'dva_mm.demo.pretraining' not in sys.modules\n"
        'from mmpretrain.registry import DATASETS, HOOKS, METRICS, MODELS\n'
        "names = ['DVARetriever', 'FineGrainedDataset', 'RetrievalMetric', 'EpochSeedHook']\n"
        'registries = [MODELS, DATASETS, METRICS, HOOKS]\n'
        'assert all(r.get(n).__module__.startswith("dva_mm") for r, n in zip(registries, names))\n'
    )
    done = run(['train.py', '-m', 'dva_mm'], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize(
    ('argv', 'orig_argv', 'own'),
    [
        (['-m', 'train', 'a.py'], ['python', '-X', 'dev', '-m', 'dva_mm', 'train', 'a.py'], True),
        (['-m', 'dva_mm'], ['python', '-m', 'pytest', 'dva_mm'], False),
        (['/bin/dva-mm', 'train'], ['python', '/bin/dva-mm', 'train'], True),
        ([f'{ROOT}/tools/test.py'], ['python', '-u', f'{ROOT}/tools/test.py'], True),
        ([f'{ROOT}/dva_mm/.mim/tools/test.py'], ['p', f'{ROOT}/dva_mm/.mim/tools/test.py'], True),
        (['tools/test.py'], ['python', 'tools/test.py'], False),  # of another folder
        ([f'{ROOT}/tools/test.py'], ['python', '-c', 'spawned', '--multiprocessing-fork'], False),
        (['-c'], ['python', '-c', 'import dva_mm'], False),
        ([''], ['python'], False),
    ],
)
def test_own_commands_are_told_from_other_processes(
    argv: list, orig_argv: list, own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', orig_argv)
    assert dva_mm._is_own_command() is own


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int | None]:
    """Run a command that fails with an error."""

    def run(error: BaseException) -> int | None:
        def fail(argv: list[str]) -> None:
            raise error

        monkeypatch.setitem(sys.modules, 'failing', types.SimpleNamespace(fail=fail))
        monkeypatch.setitem(command_line.COMMANDS, 'train', ('failing:fail', ''))
        return command_line.main(['train', DEMO])

    return run


@pytest.mark.parametrize('kind', [ValueError, FileNotFoundError])
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Callable, kind: type, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv('DVA_MM_TRACEBACK', raising=False)
    assert command(kind('data/gone is missing')) == 2
    assert capsys.readouterr().err.splitlines()[0] == 'error: data/gone is missing'
    worker = f'Caught in DataLoader worker 0.\nOriginal Traceback:\n\n{kind.__name__}: a.jpg\n'
    assert command(kind(worker)) == 2
    assert capsys.readouterr().err.splitlines()[0] == 'error: a.jpg'
    monkeypatch.setenv('DVA_MM_TRACEBACK', '1')
    with pytest.raises(kind):
        command(kind('data/gone is missing'))
    monkeypatch.delenv('DVA_MM_TRACEBACK')
    unknown = TypeError("DVAHead.__init__() got an unexpected keyword argument 'bta'")
    assert command(unknown) == command(ImportError('pip install "dva_mm[viz]"')) == 2
    assert "'bta'" in capsys.readouterr().err
    with pytest.raises(TypeError):
        command(TypeError('unsupported operand'))
    with pytest.raises(RuntimeError):  # no user's mistake
        command(RuntimeError())


def test_a_full_gpu_says_what_to_lower(command: Callable, capsys: pytest.CaptureFixture):
    message = 'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ...'
    assert command(torch.OutOfMemoryError(message)) == 2
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith('error: ') and 'CUDA out of memory' in line
    for option in ('train_dataloader.batch_size', 'precision', 'grad_checkpointing'):
        assert option in line
    with pytest.raises(RuntimeError):
        command(RuntimeError(message))


def test_ctrl_c_says_how_to_go_on(
    command: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, 'orig_argv', ['/bin/python3', '-m', 'dva_mm', 'train', 'my birds.py'])
    caught = SyntaxError('in the formatting of a config')
    caught.__context__ = KeyboardInterrupt()
    for error in (KeyboardInterrupt(), caught):
        assert command(error) == 130
        assert "python -m dva_mm train 'my birds.py' --resume" in capsys.readouterr().err
    monkeypatch.setenv('LOSS', 'contrastive')
    monkeypatch.setattr(sys.modules[__name__], 'DEMO', 'dva_mm::baseline_cub.py')
    assert command(KeyboardInterrupt()) == 130
    assert 'LOSS=contrastive python -m dva_mm train' in capsys.readouterr().err


def test_the_table_names_functions_that_are_there():
    for entry, _ in command_line.COMMANDS.values():
        module, _, function = entry.partition(':')
        assert callable(getattr(import_module(module), function))
