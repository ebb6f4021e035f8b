"""A study end to end on tiny data: what runs, what is left out, what a failure leaves."""

import json
from itertools import count
from pathlib import Path

import pytest
from tiny_data import write_config, write_cub, write_weights

from dva_mm.engine import launch
from dva_mm.study import identity, load_study, read_results
from dva_mm.study.command import main
from dva_mm.study.launcher import Launcher, RunFailed, last_line, locked
from dva_mm.study.matrix import final_runs
from dva_mm.study.results import append_result
from dva_mm.study.run import hash_data
from dva_mm.study.schedule import Schedule

NAMES = count()


class InProcess(Launcher):
    """Runs the commands here, where torch is there already; fails where it is told to."""

    fails = ''

    def call(self, log: Path, lock: int, *arguments: str) -> None:
        with log.open('a') as text:
            text.write(f'{arguments[0]}\n')
        if self.fails and self.fails in str(log):
            raise RunFailed('error: no luck')
        options = ['--cfg-options', f'experiment_name=study{next(NAMES)}']
        dict(train=launch.train, test=launch.test)[arguments[0]]([*arguments[1:], *options])


@pytest.fixture(scope='module')
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('study')
    write_cub(folder / 'cub', num_classes=8)
    write_weights(folder / 'vit.safetensors')
    write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')
    (folder / 'mine.py').write_text("""
rows = {
    'frozen': dict(config='tiny.py', frozen=True),
    'DVA': dict(config='tiny.py', tests={'again': {'test_evaluator.topk': (1,)}}),
}
options = {'train_cfg.max_epochs': 1}
seeds = [0, 1]
search = dict(val_classes=0.5, grid={'model.head.beta': [0.0, 1.0]})
baseline = 'frozen'
""")
    return folder / 'mine.py'


def schedule(study: Path, folder: Path, fails: str = '') -> Schedule:
    launcher = InProcess()
    launcher.fails = fails
    return Schedule(load_study(study), folder / 'mine.jsonl', folder / 'runs', launcher)


def commands(folder: Path) -> int:
    return sum(len(log.read_text().splitlines()) for log in folder.glob('runs/*/*/log.txt'))


def test_a_study_runs_to_its_table_and_goes_on_where_it_failed(study: Path, tmp_path, capsys):
    first = schedule(study, tmp_path, fails='DVA/seed_1')
    assert not first.run(first.study.rows)
    printed = capsys.readouterr().out
    assert 'FAILED DVA, seed 1: error: no luck' in printed
    lines = read_results(tmp_path / 'mine.jsonl')[1]
    assert [(line['kind'], line['row'], line['seed']) for line in lines] == [
        ('trial', 'DVA', 0),
        ('trial', 'DVA', 0),
        ('run', 'frozen', 0),
        ('run', 'DVA', 0),
    ]
    trials, (frozen, trained) = lines[:2], lines[2:]
    best = max(trials, key=lambda line: line['metrics']['Recall@1'])
    assert trained['chosen'] == best['chosen']
    assert frozen['metrics']['Recall@1'] == trained['frozen']['Recall@1']
    assert trained['metrics']['again/Recall@1'] == trained['metrics']['Recall@1']
    assert trained['epochs'][-1]['metrics']['Recall@8'] == trained['metrics']['Recall@8']
    hits = 100 * sum(trained['class_hits']) / sum(trained['class_images'])
    assert hits == pytest.approx(trained['metrics']['Recall@1'], abs=0.01)
    assert trained['embedding'] == 32 and frozen['trainable'] == 0
    assert trained['trainable'] == 2 * 2 * 2 * 32 * 4 + (4 + 1) * 32
    assert trained['seconds'] > 0 and trained['memory_mb'] > 0
    assert str(tmp_path) not in json.dumps(lines) and str(study.parent) not in json.dumps(lines)

    done = commands(tmp_path)
    again = schedule(study, tmp_path)
    assert again.run(again.study.rows) and again.total == 1
    assert commands(tmp_path) == done + 2  # train and one further test
    assert [path.name for path in tmp_path.glob('runs/DVA/*/*.pth')] == ['epoch_1.pth'] * 2
    third = schedule(study, tmp_path)
    assert third.run(third.study.rows) and third.total == 0
    odd = lines[-1] | dict(config_hash='odd', metrics={'Recall@1': 1.0})
    append_result(tmp_path / 'mine.jsonl', odd)  # a trial of other options, later
    fourth = schedule(study, tmp_path)
    assert fourth.run(fourth.study.rows) and fourth.total == 0
    table = [str(study), '--tables', '--out', str(tmp_path)]
    assert main(table) == 0
    assert '| DVA | 2 |' in (tmp_path / 'mine.md').read_text()
    assert (tmp_path / 'mine.svg').is_file() and (tmp_path / 'mine.csv').is_file()


def test_what_one_run_leaves_broken_does_not_stop_the_others(study: Path, tmp_path, monkeypatch):
    def execute(run, *_):
        raise KeyError('max_epochs')

    monkeypatch.setattr('dva_mm.study.schedule.execute', execute)
    broken = schedule(study, tmp_path)
    assert not broken.run(broken.study.rows)
    assert broken.done == 3  # two trials and the frozen encoder
    assert sum('max_epochs' in text for text in broken.failed) == 3


def test_other_images_are_another_run(study: Path, monkeypatch):
    (run,) = final_runs(load_study(study), load_study(study).rows[0])
    before = hash_data(run)
    monkeypatch.setattr(identity, '_HASHED', {})
    assert hash_data(run) == before
    picture = next((study.parent / 'cub' / 'images').glob('008*/0.png'))
    picture.write_bytes(picture.read_bytes() + b'\0')
    monkeypatch.setattr(identity, '_HASHED', {})
    assert hash_data(run) != before


def test_the_launcher_tells_the_last_error_of_a_process_and_ends_it(tmp_path: Path, monkeypatch):
    log = tmp_path / 'log.txt'
    shell = ['sh', '-c']
    launcher = Launcher()
    with locked(tmp_path, launcher) as lock:
        monkeypatch.setattr(
            launcher, 'command', lambda *a: [*shell, 'echo "error: no data"; echo end; exit 2']
        )
        with pytest.raises(RunFailed, match='no data'):
            launcher.call(log, lock, 'train')
    assert last_line(log) == 'error: no data'
    with locked(tmp_path, launcher):
        launcher.stopped = True
        with pytest.raises(KeyboardInterrupt), locked(tmp_path, launcher):
            pass


def test_torchrun_starts_the_processes_of_a_run():
    command = Launcher('pytorch', 2).command('train', 'run.py')
    assert 'torch.distributed.run' in command and '--nproc_per_node=2' in command
    assert command[-4:] == ['train', 'run.py', '--launcher', 'pytorch']
