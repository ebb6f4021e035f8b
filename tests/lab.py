"""A folder with a config of DVA on a tiny ViT, and real processes that train it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch
from tiny_data import write_config, write_cub, write_weights

from dva_mm.engine import launch

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 600  # seconds until a process that says nothing counts as hung

STOP = '''
import os
import time
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class StopHook(Hook):
    """At one epoch, iteration and rank say which process this is, and wait for the kill."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if str((runner.epoch, batch_idx, get_rank())) == os.environ.get('STOP_AT'):
            Path(os.environ['STOP_FILE']).write_text(str(os.getpid()))
            time.sleep(3600)
'''


class Lab:
    """``tiny.py`` is the config; ``run.py`` is for a process of its own, ``half.py`` for two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_cub(folder / 'cub')
        write_weights(folder / 'vit.safetensors')
        self.config = write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')
        (folder / 'stop.py').write_text(STOP)
        (folder / 'run.py').write_text(
            "_base_ = 'tiny.py'\n"
            "custom_imports = dict(imports=['dva_mm', 'stop'])\n"
            "default_hooks = dict(stop=dict(type='StopHook'))\n"
            'train_dataloader = dict(num_workers=2)\n'
        )
        (folder / 'half.py').write_text("_base_ = 'run.py'\ntrain_dataloader = dict(batch_size=3)")
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = str(probe.getsockname()[1])

    def start(self, log: str, script: str, *arguments: object, **env: str) -> subprocess.Popen:
        """Run a script of tools/ in this folder, its output in a file."""
        program = 'bash' if script.endswith('.sh') else sys.executable
        env = dict(PORT=self.port, OMP_NUM_THREADS='1', STOP_FILE=f'{log}.pid', **env)
        env['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
        folders = [str(ROOT), str(self.folder), os.environ.get('PYTHONPATH', '')]
        with open(self.folder / log, 'w') as output:
            return subprocess.Popen(
                [program, ROOT / 'tools' / script, *map(str, arguments)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(folders), **env},
            )

    def kill(self, log: str, process: subprocess.Popen) -> int:
        """End the process that stopped at STOP_AT with SIGKILL; returns the exit code."""
        file = self.folder / f'{log}.pid'
        try:
            for _ in range(10 * PATIENCE):
                if (file.exists() and file.read_text()) or process.poll() is not None:
                    break
                time.sleep(0.1)
            assert file.exists(), self.output(log)
            os.kill(int(file.read_text()), signal.SIGKILL)
            return process.wait(PATIENCE)
        finally:
            process.kill()

    def finish(self, log: str, process: subprocess.Popen) -> None:
        assert process.wait(PATIENCE) == 0, self.output(log)

    def options(self, work_dir: Path) -> list[str]:
        """Of a run in this process: MMEngine keeps loggers by the name of the experiment."""
        name = f'{self.folder.name}_{work_dir.parent.name}_{work_dir.name}'.replace(' ', '_')
        return ['--work-dir', str(work_dir), '--cfg-options', f'experiment_name={name}']

    def train(self, name: str, *arguments: str) -> None:
        """Train in this process."""
        options = [*self.options(self.folder / name), 'train_dataloader.num_workers=2']
        launch.train([str(self.config), *arguments, *options])

    def output(self, log: str) -> str:
        return (self.folder / log).read_text()

    def logged(self, name: str) -> str:
        """The logs of a run, the oldest first."""
        return ''.join(path.read_text() for path in sorted((self.folder / name).glob('*/*.log')))

    def saved(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.folder / name).glob('*.pth'))

    def result(self, name: str, epoch: int = 3) -> dict:
        return torch.load(self.folder / name / f'epoch_{epoch}.pth', weights_only=True)

    def scalars(self, name: str) -> dict[int, dict[str, float]]:
        """The metrics of each evaluation by its epoch, the newest last."""
        found = {}
        for path in sorted((self.folder / name).glob('*/vis_data/scalars.json')):
            for entry in map(json.loads, path.read_text().splitlines()):
                if metrics := {n: v for n, v in entry.items() if 'retrieval/' in n}:
                    found[entry['step']] = metrics
        return found


def equal(a: object, b: object) -> bool:
    """Bit-equality of nested dicts and lists of tensors and plain values."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b
