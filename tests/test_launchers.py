"""The shell launchers on real processes that talk through gloo: two train like one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_data import write_config, write_cub, write_weights

from dva_mm.engine.launch import test as run_test
from dva_mm.engine.launch import train

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300  # seconds until a process that says nothing counts as hung

STOP = '''
import os
import time
from pathlib import Path

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class StopHook(Hook):
    """In the second epoch rank 1 says who it is, and waits."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (runner.epoch, batch_idx, get_rank()) == (1, 0, 1):
            Path(os.environ['STOP_FILE']).write_text(str(os.getpid()))
            time.sleep(3600)
'''


class Cluster:
    """A folder with a config whose processes take half a batch each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_cub(folder / 'cub')
        write_weights(folder / 'vit.safetensors')
        self.config = folder / 'tiny.py'
        write_config(self.config, folder / 'cub', folder / 'vit.safetensors')
        self.half = folder / 'half.py'
        self.half.write_text("_base_ = 'tiny.py'\ntrain_dataloader = dict(batch_size=3)\n")
        (folder / 'stop.py').write_text(STOP)
        (folder / 'stopping.py').write_text(
            "_base_ = 'half.py'\n"
            "custom_imports = dict(imports=['dva_mm', 'stop'])\n"
            "default_hooks = dict(stop=dict(type='StopHook'))\n"
        )
        self.port = str(free_port())

    def start(self, script: str, log: str, *arguments: object, **env: str) -> subprocess.Popen:
        path = os.pathsep.join([str(ROOT), str(self.folder), os.environ.get('PYTHONPATH', '')])
        bin_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
        env = dict(PYTHONPATH=path, PATH=bin_path, PORT=self.port, OMP_NUM_THREADS='1', **env)
        with open(self.folder / log, 'w') as output:
            return subprocess.Popen(
                ['bash', ROOT / 'tools' / script, *map(str, arguments)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **env},
            )

    def output(self, log: str) -> str:
        return (self.folder / log).read_text()[-8000:]

    def finish(self, log: str, process: subprocess.Popen) -> None:
        assert process.wait(PATIENCE) == 0, self.output(log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def metrics(work_dir: Path) -> dict[int, dict[str, float]]:
    """The figures of each evaluation by its epoch."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for entry in map(json.loads, path.read_text().splitlines()):
            if any(key.endswith('retrieval/Recall@1') for key in entry):
                found[entry['step']] = {
                    k.removeprefix('before_training/'): v
                    for k, v in entry.items()
                    if 'retrieval' in k
                }
    return found


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Runs: 'one' in this process; 'two' as two processes, of which one is killed; then resumed
    as two machines of one process each."""
    cluster = Cluster(tmp_path_factory.mktemp('a cluster'))
    stop = cluster.folder / 'rank1.pid'
    arguments = ('stopping.py', 2, '--work-dir', 'two')
    process = cluster.start('dist_train.sh', 'killed.txt', *arguments, STOP_FILE=str(stop))
    try:
        for _ in range(10 * PATIENCE):
            if (stop.exists() and stop.read_text()) or process.poll() is not None:
                break
            time.sleep(0.1)
        assert stop.exists(), cluster.output('killed.txt')
        os.kill(int(stop.read_text()), signal.SIGKILL)
        cluster.status = process.wait(PATIENCE)
    finally:
        process.kill()
    cluster.saved = sorted(path.name for path in (cluster.folder / 'two').glob('*.pth'))

    arguments = (cluster.half, 1, '--work-dir', 'two', '--resume')
    nodes = [
        cluster.start('dist_train.sh', f'node{rank}.txt', *arguments, NNODES='2', NODE_RANK=rank)
        for rank in ('0', '1')
    ]
    name = f'experiment_name={cluster.folder.name}'
    one = cluster.folder / 'one'
    train([str(cluster.config), '--work-dir', str(one), '--cfg-options', f'{name}_one'])
    for rank, node in enumerate(nodes):
        cluster.finish(f'node{rank}.txt', node)
    return cluster


def test_the_death_of_one_process_stops_the_run_with_a_clear_error(cluster: Cluster):
    printed = cluster.output('killed.txt')
    assert cluster.status != 0
    assert 'the process of rank 1 ended with SIGKILL' in printed and 'Traceback' not in printed
    assert '--resume' in printed.splitlines()[-1]
    assert cluster.saved == ['epoch_1.pth']


def test_two_processes_tell_one_mistake_once(cluster: Cluster):
    arguments = (cluster.half, 2, '--cfg-options', 'data_root=no images')
    process = cluster.start('dist_train.sh', 'mistake.txt', *arguments)
    assert process.wait(PATIENCE) == 2
    printed = cluster.output('mistake.txt')
    assert printed.count('error: ') == 1 and printed.count('no images has no') == 1
    assert 'Traceback' not in printed and 'Root Cause' not in printed


def test_two_processes_train_to_what_one_does(cluster: Cluster):
    one, two = (
        torch.load(cluster.folder / name / 'epoch_3.pth', weights_only=True)
        for name in ('one', 'two')
    )
    assert one['state_dict'].keys() == two['state_dict'].keys()
    for name, tensor in one['state_dict'].items():
        torch.testing.assert_close(two['state_dict'][name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    start = torch.load(cluster.folder / 'one' / 'epoch_2.pth', weights_only=True)['state_dict']
    moved = [(one['state_dict'][name] - tensor).abs().max() for name, tensor in start.items()]
    assert min(moved) > 1e-3  # ... which is more than what the comparison lets through


def test_two_processes_evaluate_to_what_one_does(cluster: Cluster):
    one, two = metrics(cluster.folder / 'one'), metrics(cluster.folder / 'two')
    assert one.keys() == two.keys() == {0, 1, 2, 3}
    assert one[0] == two[0] != one[3] == two[3]


def test_a_resumed_run_says_where_it_starts(cluster: Cluster):
    assert 'resumed epoch: 1, iter: 3' in cluster.output('node0.txt')
    assert f'checkpoint: {cluster.folder / "two" / "epoch_3.pth"}' in cluster.output('node0.txt')
    assert 'checkpoint: ' not in cluster.output('node1.txt')


def test_testing_with_two_processes_gives_the_metrics_of_one(cluster: Cluster, tmp_path: Path):
    checkpoint = cluster.folder / 'one' / 'epoch_3.pth'
    process = cluster.start(
        'dist_test.sh', 'test.txt', cluster.config, checkpoint, 2, '--work-dir', tmp_path / 'two'
    )
    name = f'experiment_name={cluster.folder.name}_test'
    arguments = ['--work-dir', str(tmp_path / 'one'), '--cfg-options', name]
    run_test([str(cluster.config), str(checkpoint), *arguments])
    cluster.finish('test.txt', process)
    one, two = (json.loads((tmp_path / n / 'metrics.json').read_text()) for n in ('one', 'two'))
    assert one['metrics'] == two['metrics'] == metrics(cluster.folder / 'one')[3]


def test_slurm_starts_one_torchrun_a_node(tmp_path: Path):
    for name, text in dict(
        # Stands in for Slurm: shows what it was asked for, then is the second of two nodes.
        srun='echo "srun $*" | head -n 1; while [[ $1 == --* ]]; do shift; done\n'
        'SLURM_NNODES=2 SLURM_NODEID=1 SLURM_JOB_NODELIST="node[1-2]" exec "$@"',
        scontrol='[ "$*" = "show hostnames node[1-2]" ] && printf "node1\\nnode2\\n"',
        python='echo "python $*"',
    ).items():
        (tmp_path / name).write_text(f'#!/usr/bin/env bash\n{text}\n')
        (tmp_path / name).chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    env = {**os.environ, 'PATH': path, 'NNODES': '2', 'GPUS_PER_NODE': '4', 'PORT': '1234'}
    command = ['bash', ROOT / 'tools' / 'slurm_train.sh']
    arguments = ['gpu', 'birds', 'my config.py', 'out', '--amp', '--cfg-options', 'a=1']
    env['SRUN_ARGS'] = '--time=1:00:00 --mem=64G'
    lines = subprocess.run(
        [*command, *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    asked, ran = lines[0], lines[-1]
    for option in ('partition=gpu', 'job-name=birds', 'nodes=2', 'gres=gpu:4', 'mem=64G'):
        assert f'--{option} ' in asked
    assert '--cpus-per-task=20 ' in asked and '--time=1:00:00 ' in asked
    assert ran == (
        f'python {ROOT}/tools/dist_run.py --nnodes=2 --node_rank=1 --master_addr=node1 '
        f'--master_port=1234 --nproc_per_node=4 {ROOT}/tools/train.py my config.py '
        '--launcher pytorch --work-dir out --amp --cfg-options a=1'
    )


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_a_script_without_its_arguments_says_how_to_use_it(script: str):
    result = subprocess.run(
        ['bash', ROOT / 'tools' / script, 'one'], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert f'{script} ' in result.stderr and 'usage: ' in result.stderr
