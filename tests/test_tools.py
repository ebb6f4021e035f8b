"""The scripts in real processes: killed with SIGKILL, resumed, tested, published."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_data import write_config, write_cub, write_weights

from dva_mm import visualization
from dva_mm.engine.launch import train

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 600  # seconds until a process that says nothing counts as hung

PAUSE = '''
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class PauseHook(Hook):
    """Wait for the kill after the second iteration of an epoch."""

    def __init__(self, epoch, file):
        self.epoch, self.file = epoch, Path(file)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (runner.epoch, batch_idx) == (self.epoch, 1):
            self.file.touch()
            time.sleep(3600)
'''


class Lab:
    """A folder with a config, and the processes that train it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_cub(folder / 'cub')
        write_weights(folder / 'vit.safetensors')
        self.config = write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')
        (folder / 'pausing.py').write_text(PAUSE)
        self.pausing = folder / 'run.py'
        self.pausing.write_text(
            "_base_ = 'tiny.py'\n"
            "custom_imports = dict(imports=['dva_mm', 'pausing'])\n"
            'train_dataloader = dict(num_workers=2)\n'
        )

    def start(self, name: str, *arguments: str) -> subprocess.Popen:
        """Run tools/train.py in a process of its own, with ``name`` as work directory."""
        path = os.pathsep.join([str(ROOT), str(self.folder), os.environ.get('PYTHONPATH', '')])
        command = [sys.executable, ROOT / 'tools' / 'train.py', self.pausing]
        with open(self.folder / f'{name}.txt', 'a') as output:
            return subprocess.Popen(
                [*command, '--work-dir', self.folder / name, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
            )

    def kill(self, name: str, epoch: int, *arguments: str) -> None:
        """Start a run and kill it with SIGKILL in the middle of an epoch, counted from 0."""
        signal = self.folder / f'{name}-{epoch}.reached'
        hook = [f'{key}={value}' for key, value in (('type', 'PauseHook'), ('epoch', epoch))]
        hook = [f'default_hooks.pause.{pair}' for pair in [*hook, f'file={signal}']]
        process = self.start(name, *arguments, '--cfg-options', *hook)
        try:
            for _ in range(10 * PATIENCE):
                if signal.exists() or process.poll() is not None:
                    break
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        assert signal.exists(), self.output(name)

    def finish(self, name: str, process: subprocess.Popen) -> None:
        assert process.wait(PATIENCE) == 0, self.output(name)

    def output(self, name: str) -> str:
        return (self.folder / f'{name}.txt').read_text()

    def saved(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.folder / name).glob('*.pth'))

    def result(self, name: str) -> dict:
        return torch.load(self.folder / name / 'epoch_3.pth', weights_only=True)

    def scalars(self, name: str) -> dict[int, dict[str, float]]:
        """The metrics of each evaluation by its epoch, the newest last."""
        found = {}
        for path in sorted((self.folder / name).glob('*/vis_data/scalars.json')):
            for entry in map(json.loads, path.read_text().splitlines()):
                if metrics := {n: v for n, v in entry.items() if 'retrieval/' in n}:
                    found[entry['step']] = metrics
        return found


def options(lab: Lab, work_dir: Path) -> list:
    """MMEngine keeps loggers by name, and by default the name is the time in seconds."""
    name = f'{lab.folder.name}_{work_dir.parent.name}_{work_dir.name}'
    return ['--work-dir', work_dir, '--cfg-options', f'experiment_name={name}']


@pytest.fixture(scope='module')
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Runs: 'whole' was never killed; 'killed' twice, then resumed; 'torn' lost its newest file."""
    lab = Lab(tmp_path_factory.mktemp('lab'))
    whole = lab.start('whole')
    lab.kill('killed', 0)
    assert lab.saved('killed') == []
    lab.kill('killed', 2, '--resume')
    assert lab.saved('killed') == ['epoch_1.pth', 'epoch_2.pth']
    shutil.copytree(lab.folder / 'killed', lab.folder / 'torn')
    newest = lab.folder / 'torn' / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = lab.start('killed', '--resume')
    lab.finish('whole', whole)
    lab.finish('killed', resumed)
    arguments = [*options(lab, lab.folder / 'torn'), 'train_dataloader.num_workers=2']
    train([str(argument) for argument in (lab.config, '--resume', *arguments)])
    return lab


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a script of tools/ and return what it printed, on both streams."""

    def run(name: str, *arguments: str | Path) -> str:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        capsys.readouterr()
        with suppress(SystemExit):
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
        return ''.join(capsys.readouterr())

    return run


def equal(a: object, b: object) -> bool:
    """Bit-equality of nested dicts and lists of tensors and plain values."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize('name', ['killed', 'torn'])
def test_a_killed_run_ends_bit_equal_to_one_that_was_not(lab: Lab, name: str):
    whole, resumed = lab.result('whole'), lab.result(name)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert equal(whole[part], resumed[part])
    assert resumed['meta']['epoch'] == 3
    start = torch.load(lab.folder / 'whole' / 'epoch_2.pth', weights_only=True)
    assert not equal(whole['state_dict'], start['state_dict'])
    assert lab.scalars(name)[3] == lab.scalars('whole')[3]


def test_a_resumed_run_says_where_it_starts(lab: Lab):
    killed = lab.output('killed')
    assert f'no checkpoint in {lab.folder / "killed"} yet, starting anew' in killed
    assert 'resumed epoch: 2, iter: 6' in killed
    assert f'checkpoint: {lab.folder / "killed" / "epoch_3.pth"}' in killed
    logs = [path.read_text() for path in (lab.folder / 'torn').glob('*/*.log')]
    assert sum('resumed epoch: 1, iter: 3' in text for text in logs) == 1
    for name in ('whole', 'killed', 'torn'):
        assert lab.saved(name) == ['epoch_2.pth', 'epoch_3.pth']


def read(printed: str) -> tuple[dict[str, str], dict]:
    """The metrics that tools/test.py printed, and the JSON that it named."""
    metrics = dict(re.findall(r'^(retrieval/\S+): (\S+)$', printed, re.M))
    return metrics, json.loads(Path(re.search('^metrics: (.*)$', printed, re.M)[1]).read_text())


def test_testing_a_checkpoint_repeats_the_last_evaluation(
    lab: Lab, script: Callable[..., str], tmp_path: Path
):
    checkpoint = lab.folder / 'whole' / 'epoch_3.pth'
    printed, saved = read(script('test.py', lab.config, checkpoint, *options(lab, tmp_path / 'a')))
    assert saved['metrics'] == lab.scalars('whole')[3]
    assert printed == {name: f'{value:.4f}' for name, value in saved['metrics'].items()}
    assert saved['checkpoint'] == str(checkpoint)
    assert (tmp_path / 'a' / 'metrics.json').is_file()

    out = script('publish_model.py', checkpoint, tmp_path / 'dva.safetensors')
    size = (tmp_path / 'dva.safetensors').stat().st_size
    assert f'{tmp_path / "dva.safetensors"}: {size / 1e6:.2f} MB' in out
    arguments = [*options(lab, tmp_path / 'b'), 'test_dataloader.num_workers=1']
    arguments += ['--out', tmp_path / 'deep' / 'm.json']
    again = read(script('test.py', lab.config, tmp_path / 'dva.safetensors', *arguments))
    assert again[1]['metrics'] == saved['metrics']
    assert (tmp_path / 'deep' / 'm.json').is_file()


def test_testing_without_a_checkpoint_repeats_the_frozen_baseline(
    lab: Lab, script: Callable[..., str], tmp_path: Path
):
    _, saved = read(script('test.py', lab.config, *options(lab, tmp_path / 'a')))
    assert saved['checkpoint'] is None
    frozen = '  '.join(f'{n.split("/")[1]} {v:.2f}' for n, v in saved['metrics'].items())
    log = lab.output('whole')
    assert log.count(f'frozen encoder: {frozen}') == 2  # at the start and at the end
    assert log.index('frozen encoder') < log.index('Epoch(train)')
    before = {f'before_training/{name}': value for name, value in saved['metrics'].items()}
    assert before == lab.scalars('whole')[0]
    # ... and the run did leave the frozen encoder behind.
    trained = lab.result('whole')['state_dict']
    assert all(t.any() for name, t in trained.items() if '_up.' in name)


def test_testing_refuses_another_encoder_and_missing_files(
    lab: Lab, script: Callable[..., str], tmp_path: Path
):
    checkpoint = lab.folder / 'whole' / 'epoch_3.pth'
    changed = [*options(lab, tmp_path / 'a'), 'model.backbone.pooling=avg']
    printed = script('test.py', lab.config, checkpoint, *changed)
    error = printed[printed.index('error: ') :]
    assert "'cls'" in error and "'avg'" in error and 'Traceback' not in printed
    log = Path(re.search(r'traceback: (.*)', error)[1])
    assert 'Traceback (most recent call last)' in log.read_text()
    printed = script('test.py', lab.config, tmp_path / 'gone.pth')
    assert 'error: ' in printed and 'gone.pth' in printed


def test_drawing_a_ranking_writes_a_picture_of_the_frozen_and_the_trained_model(
    lab: Lab, script: Callable[..., str], tmp_path: Path
):
    out = tmp_path / 'ranked.png'
    checkpoint = lab.folder / 'whole' / 'epoch_3.pth'
    page = ('--out', tmp_path / 'page.html', '--png', out)
    script('show.py', lab.config, checkpoint, *page, '--queries', '2', '--topk', '3')
    picture = np.asarray(Image.open(out).convert('RGB')).reshape(-1, 3)
    colours = {tuple(colour) for colour in np.unique(picture, axis=0).tolist()}
    assert visualization.QUERY in colours
    assert {visualization.RIGHT, visualization.WRONG} & colours
