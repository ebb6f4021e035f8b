"""One run of a study, in processes of its own: train, test further, record."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from dva_mm.files import replace_atomically

from .identity import data_hash, environment, portable, runner_fields
from .launcher import Launcher, RunFailed
from .matrix import Run, folder_name, test_config

FRACTION = 100  # Recall@1 of a class in percent


@dataclass(frozen=True)
class Place:
    """Where a run works: ``STUDY/ROW/seed_N_HASH``, with ``log.txt`` and the runner's files.

    A trial's is ``STUDY/ROW/trial_T_seed_N_HASH``.
    """

    folder: Path

    @classmethod
    def of(cls, root: Path, run: Run, identity: dict) -> 'Place':
        """Its folder below the study's; another config or other data have another one."""
        kind = '' if run.trial is None else f'trial_{run.trial}_'
        hashes = f'{identity["config_hash"][:6]}{identity["data_hash"][:6]}'
        return cls(root / folder_name(run.row.label) / f'{kind}seed_{run.seed}_{hashes}')

    @property
    def log(self) -> Path:
        """What the run's processes print."""
        return self.folder / 'log.txt'


def execute(
    run: Run, place: Place, identity: dict, study: str, launcher: Launcher, lock: int
) -> dict:
    """Run, or go on with, one run of a study, and return its line for the results.

    Args:
        run: What to run.
        place: Where.
        identity: :meth:`Run.identity` with the data's hash.
        study: The study's name.
        launcher: What starts the processes.
        lock: Of :func:`locked`.

    Raises:
        RunFailed: If a process ended with an error, or did not evaluate its last epoch.
        KeyboardInterrupt: If the launcher was stopped.
    """
    folder, started = place.folder, environment()
    tested = {}
    if run.row.frozen:
        record = _test(run.cfg, place, 'record', launcher, lock)
        metrics, frozen = record['metrics'], record['metrics']
    else:
        file = _write_config(run.cfg, folder, 'record', 'val_evaluator')
        launcher.call(place.log, lock, 'train', file, '--work-dir', str(folder), '--resume')
        record = json.loads((folder / 'record.json').read_text())
        last = record['epochs'][-1] if record['epochs'] else {}
        if last.get('epoch') != run.cfg.train_cfg.max_epochs or 'metrics' not in last:
            raise RunFailed(f'the last epoch was not evaluated: {last}')
        metrics, frozen = last['metrics'], record['frozen']
    for test in run.row.tests if run.trial is None else ():
        cfg = test_config(run.row, run.cfg, test)
        checkpoint = [] if run.row.frozen else [(folder / 'last_checkpoint').read_text()]
        result = _test(cfg, place, f'test_{folder_name(test)}', launcher, lock, *checkpoint)
        tested |= {f'{test}/{name}': v for name, v in _short(result['metrics']).items()}
    epochs = [{**e, 'metrics': _short(e['metrics'])} for e in record['epochs'] if 'metrics' in e]
    steps = sorted(e['step_seconds'] for e in record['epochs'] if 'step_seconds' in e)
    line = dict(study=study, **identity, config=run.row.shown)
    line |= dict(options=portable(run.row.options), variables=run.row.variables)
    line |= dict(trial=run.trial, metrics=_short(metrics) | tested, frozen=_short(frozen))
    line |= dict(epochs=[dict(epoch=e['epoch'], metrics=e['metrics']) for e in epochs])
    line |= _classes(folder / 'record_classes.json')
    names = ('trainable', 'trainable_in_encoder', 'parameters', 'embedding')
    line |= {name: record[name] for name in (*names, 'memory_mb', 'cuda_mb')}
    line['seconds'] = round(sum(e.get('seconds', 0) for e in record['epochs']), 1) or None
    line['step_seconds'] = steps[len(steps) // 2] if steps else None
    line |= dict(processes=launcher.processes, **started)
    line['finished'] = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    _clean(folder, keep_last=run.trial is None)
    return line


def hash_data(run: Run) -> str:
    """The hash of the images that a run and its further tests see."""
    loaders = ('test_dataloader',) if run.row.frozen else ('train_dataloader', 'val_dataloader')
    hashes = [data_hash(run.cfg, *loaders)]
    for test in run.row.tests if run.trial is None else ():
        hashes.append(data_hash(test_config(run.row, run.cfg, test), 'test_dataloader'))
    return '-'.join(hashes)


def _test(
    cfg: Config, place: Place, name: str, launcher: Launcher, lock: int, *checkpoint: str
) -> dict:
    file = _write_config(cfg, place.folder, name, 'test_evaluator')
    arguments = [file, *checkpoint, '--work-dir', str(place.folder)]
    arguments += ['--out', str(place.folder / f'{name}_metrics.json')]
    launcher.call(place.log, lock, 'test', *arguments)
    return json.loads((place.folder / f'{name}.json').read_text())


def _write_config(cfg: Config, folder: Path, name: str, evaluator: str) -> str:
    """Write the merged config, with a hook that records the run, as a file of its own."""
    values = runner_fields(cfg)
    values.setdefault('default_hooks', {})['run_record'] = dict(
        type='RunRecordHook', out=str(folder / f'{name}.json')
    )
    metric = values.get(evaluator)
    recall = isinstance(metric, dict) and 'recall' in metric.get('include', ('recall',))
    if recall and metric.get('type') == 'RetrievalMetric' and name == 'record':
        metric['per_class_file'] = metric.get('per_class_file') or str(
            folder / 'record_classes.json'
        )
    file = folder / f'{name}.py'
    with replace_atomically(file) as partial:
        lines = (f'{key} = {value!r}\n' for key, value in values.items())
        partial.write_text(''.join(lines), encoding='utf-8')
    return str(file)


def _short(metrics: dict[str, float]) -> dict[str, float]:
    return {name.removeprefix('retrieval/'): round(v, 4) for name, v in metrics.items()}


def _classes(file: Path) -> dict:
    """Images and hits at 1 of each class of the last evaluation, in the order of the classes."""
    if not file.is_file():
        return {}
    classes = [c for c in json.loads(file.read_text()).values() if c.get('Recall@1') is not None]
    images = [c['images'] for c in classes]
    hits = [round(c['Recall@1'] * c['images'] / FRACTION, 3) for c in classes]
    return dict(class_images=images, class_hits=[int(h) if h == int(h) else h for h in hits])


def _clean(folder: Path, keep_last: bool) -> None:
    """Delete the checkpoints that nothing needs any more."""
    last = folder / 'last_checkpoint'
    kept = Path(last.read_text().strip()).name if keep_last and last.is_file() else None
    for path in folder.glob('*.pth'):
        if path.name != kept:
            path.unlink()
    for cache in folder.glob('__pycache__'):
        shutil.rmtree(cache)
