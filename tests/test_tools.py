"""The scripts in real processes: killed, resumed, tested, published, two that train like one."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from lab import PATIENCE, ROOT, Lab, equal
from PIL import Image

from dva_mm import visualization


@pytest.fixture(scope='module')
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Runs: 'whole' in this process; 'killed' in its last epoch, then resumed; 'torn', its copy
    without the end of the newest file, resumed; 'two' processes, of which one was killed, then
    resumed as two machines of one process each."""
    lab = Lab(tmp_path_factory.mktemp('a lab'))
    run = ('train.py', 'run.py', '--work-dir', 'killed', '--resume')
    killed = lab.start('killed.txt', *run, STOP_AT='(2, 1, 0)')
    half = ('dist_train.sh', 'half.py')
    two = lab.start('two.txt', *half, 2, '--work-dir', 'two', STOP_AT='(1, 0, 1)')
    lab.train('whole')
    lab.kill('killed.txt', killed)
    assert lab.saved('killed') == ['epoch_1.pth', 'epoch_2.pth']
    assert lab.kill('two.txt', two) not in (0, 2)
    assert lab.saved('two') == ['epoch_1.pth']
    shutil.copytree(lab.folder / 'killed', lab.folder / 'torn')
    newest = lab.folder / 'torn' / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-100])

    resumed = {'resumed.txt': lab.start('resumed.txt', *run)}
    for rank in '01':
        arguments = (*half, 1, '--work-dir', 'two', '--resume')
        node = lab.start(f'node{rank}.txt', *arguments, NNODES='2', NODE_RANK=rank)
        resumed[f'node{rank}.txt'] = node
    lab.train('torn', '--resume')
    for log, process in resumed.items():
        lab.finish(log, process)
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


@pytest.mark.parametrize('name', ['killed', 'torn'])
def test_a_killed_run_ends_bit_equal_to_one_that_was_not(lab: Lab, name: str):
    whole, resumed = lab.result('whole'), lab.result(name)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert equal(whole[part], resumed[part])
    assert resumed['meta']['epoch'] == 3
    assert not equal(whole['state_dict'], lab.result('whole', 2)['state_dict'])
    assert lab.scalars(name)[3] == lab.scalars('whole')[3]


def test_runs_say_where_they_start_and_end(lab: Lab):
    assert 'no checkpoint in killed yet, starting anew' in lab.output('killed.txt')
    assert 'resumed epoch: 2, iter: 6' in lab.output('resumed.txt')
    assert 'resumed epoch: 1, iter: 3' in lab.output('node0.txt')
    assert lab.logged('torn').count('resumed epoch: 1, iter: 3') == 1
    for log, run in (('resumed.txt', 'killed'), ('node0.txt', 'two')):
        assert f'checkpoint: {lab.folder / run / "epoch_3.pth"}' in lab.output(log)
    assert 'checkpoint: ' not in lab.output('node1.txt')
    for name in ('whole', 'killed', 'torn', 'two'):
        assert lab.saved(name) == ['epoch_2.pth', 'epoch_3.pth']


def test_the_death_of_one_process_stops_the_run_with_a_clear_error(lab: Lab):
    printed = lab.output('two.txt')
    assert 'the process of rank 1 ended with SIGKILL' in printed and 'Traceback' not in printed
    assert '--resume' in printed.splitlines()[-1]


def test_two_processes_tell_one_mistake_once(lab: Lab):
    arguments = ('half.py', 2, '--cfg-options', 'data_root=no images')
    process = lab.start('mistake.txt', 'dist_train.sh', *arguments)
    assert process.wait(PATIENCE) == 2
    printed = lab.output('mistake.txt')
    assert printed.count('error: ') == 1 and printed.count('no images has no') == 1
    assert 'Traceback' not in printed and 'Root Cause' not in printed


def test_two_processes_train_and_evaluate_to_what_one_does(lab: Lab):
    one, two = (lab.result(name)['state_dict'] for name in ('whole', 'two'))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    start = lab.result('whole', 2)['state_dict']
    moved = [(one[name] - tensor).abs().max() for name, tensor in start.items()]
    assert min(moved) > 1e-3  # ... which is more than what the comparison lets through
    figures = lab.scalars('whole')
    assert figures.keys() == lab.scalars('two').keys() == {0, 1, 2, 3}
    assert [figures[0], figures[3]] == [lab.scalars('two')[step] for step in (0, 3)]
    assert [*figures[0].values()] != [*figures[3].values()]


def read(printed: str) -> tuple[dict[str, str], dict]:
    """The metrics that tools/test.py printed, and the JSON that it named."""
    metrics = dict(re.findall(r'^(retrieval/\S+): (\S+)$', printed, re.M))
    return metrics, json.loads(Path(re.search('^metrics: (.*)$', printed, re.M)[1]).read_text())


def test_testing_repeats_the_last_evaluation(lab: Lab, script: Callable[..., str], tmp_path: Path):
    """Of a checkpoint, by one process and by two, and of the published file."""
    checkpoint = lab.folder / 'whole' / 'epoch_3.pth'
    two = ('dist_test.sh', lab.config, checkpoint, 2, '--work-dir', tmp_path / 'two')
    process = lab.start('test.txt', *two)
    printed, saved = read(script('test.py', lab.config, checkpoint, *lab.options(tmp_path / 'a')))
    assert saved['metrics'] == lab.scalars('whole')[3]
    assert printed == {name: f'{value:.4f}' for name, value in saved['metrics'].items()}
    assert saved['checkpoint'] == str(checkpoint)
    assert (tmp_path / 'a' / 'metrics.json').is_file()

    out = script('publish_model.py', checkpoint, tmp_path / 'dva.safetensors')
    size = (tmp_path / 'dva.safetensors').stat().st_size
    assert f'{tmp_path / "dva.safetensors"}: {size / 1e6:.2f} MB' in out
    arguments = [*lab.options(tmp_path / 'b'), 'test_dataloader.num_workers=1']
    arguments += ['--out', tmp_path / 'deep' / 'm.json']
    again = read(script('test.py', lab.config, tmp_path / 'dva.safetensors', *arguments))
    assert again[1]['metrics'] == saved['metrics']
    lab.finish('test.txt', process)
    for file in ('deep/m.json', 'two/metrics.json'):
        assert json.loads((tmp_path / file).read_text())['metrics'] == saved['metrics']


def test_testing_without_a_checkpoint_repeats_the_frozen_baseline(
    lab: Lab, script: Callable[..., str], tmp_path: Path
):
    _, saved = read(script('test.py', lab.config, *lab.options(tmp_path / 'a')))
    assert saved['checkpoint'] is None
    frozen = '  '.join(f'{n.split("/")[1]} {v:.2f}' for n, v in saved['metrics'].items())
    log = lab.logged('whole')
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
    changed = [*lab.options(tmp_path / 'a'), 'model.backbone.pooling=avg']
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
    env = dict(NNODES='2', GPUS_PER_NODE='4', PORT='1234', SRUN_ARGS='--time=1:00:00 --mem=64G')
    env['PATH'] = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    command = ['bash', ROOT / 'tools' / 'slurm_train.sh', 'gpu', 'birds', 'my config.py', 'out']
    asked, *_, ran = subprocess.run(
        [*command, '--amp', '--cfg-options', 'a=1'],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
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
    command = ['bash', ROOT / 'tools' / script, 'one']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f'{script} ' in result.stderr and 'usage: ' in result.stderr
