"""A study file -> a checked Study."""

import os
import re
from itertools import product
from pathlib import Path

from dva_mm.config import PREFIX, find_config, load_config

from .check import check_labels, check_names, check_options
from .matrix import Row, Study, folder_name, load_row, run_config, test_config

FIGURES = ('trainable', 'embedding', 'seconds', 'step_seconds', 'memory_mb', 'cuda_mb')
"""Columns of a table beside the metrics."""
STUDY_KEYS = {
    *('name', 'description', 'rows', 'seeds', 'options', 'search', 'tests'),
    *('metrics', 'baseline', 'plot'),
}
ROW_KEYS = {'config', 'options', 'variables', 'grid', 'frozen', 'tests', 'x', 'line'}
PLOT_KEYS = {'y', 'x_label', 'title', 'log'}


def load_study(path: str | Path, options: dict | None = None) -> Study:
    """Read a study file, and build the config of every run in it once.

    Args:
        path: A Python file as MMEngine's Config reads it, or ``dva_mm::studies/NAME.py``.
        options: Values of dotted names that change the configs of all rows, as ``--cfg-options``.
            They come last. Default None.

    Raises:
        FileNotFoundError: The file, a base or the config of a row does not exist.
        ValueError: A key, an option or a figure is unknown, two rows have one label, the rows
            have different numbers of trials, or a value has another form.

    >>> load_study('dva_mm::studies/demo.py').rows[0].label
    'frozen'
    """
    path = find_config(path)
    check_labels(path)
    values = {k: v for k, v in load_config(path).to_dict().items() if not k.startswith('_')}
    check_names(f'{path}', values, STUDY_KEYS, needed=('rows',))
    search = values.get('search') or {}
    check_names(
        f'{path}: search',
        search,
        {'val_classes', 'grid', 'seeds'},
        needed=('val_classes',) * bool(search),
    )
    rows = tuple(
        _read_row(path, label, row, values, search, options or {})
        for label, row in values['rows'].items()
    )
    plot = dict(values.get('plot') or {})
    check_names(f'{path}: plot', plot, PLOT_KEYS)
    seeds = _read_seeds(f'{path}: seeds', values.get('seeds', (0, 1, 2)))
    study = Study(
        name=values.get('name', path.stem),
        description=values.get('description', ''),
        rows=rows,
        seeds=seeds,
        first_seed=seeds[0] if seeds else 0,
        val_classes=search.get('val_classes', 0.0),
        trial_seeds=_read_seeds(f'{path}: search seeds', search.get('seeds', seeds[:1])),
        metrics=tuple(values.get('metrics', ('Recall@1', 'Recall@2', 'Recall@4', 'Recall@8'))),
        baseline=values.get('baseline'),
        plot=plot,
    )
    _check(path, study)
    return study


def _read_row(path: Path, label: str, row: dict, study: dict, search: dict, last: dict) -> Row:
    check_names(f'{path}: row {label!r}', row, ROW_KEYS, needed=('config',))
    config = row['config']
    if not config.startswith(PREFIX):
        config = os.path.normpath(path.parent / config)
    found = find_config(config)
    shown = os.path.relpath(found, path.parent).replace(os.sep, '/')
    if 'configs' in found.parts:  # of this package or of a project laid out like it
        shown = '/'.join(found.parts[found.parts.index('configs') :])
    frozen = bool(row.get('frozen'))
    grid = {} if frozen else row.get('grid', search.get('grid', {})) if search else {}
    trials = tuple(trial for part in _as_list(grid) for trial in _combine(part))
    return Row(
        label=str(label),
        config=config,
        shown=shown,
        options={**study.get('options', {}), **row.get('options', {}), **last},
        variables={name: str(value) for name, value in row.get('variables', {}).items()},
        trials=trials,
        frozen=frozen,
        tests={**study.get('tests', {}), **row.get('tests', {})},
        x=row.get('x'),
        line=row.get('line'),
    )


def _read_seeds(place: str, seeds: object) -> tuple[int, ...]:
    listed = isinstance(seeds, list | tuple) and seeds
    if not listed or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise ValueError(f'{place} must be a list of whole numbers from 0, got {seeds!r}')
    if len(set(seeds)) < len(seeds):
        raise ValueError(f'{place} must differ from each other, got {seeds}')
    return tuple(seeds)


def _as_list(value: object) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _combine(grid: dict) -> list[dict]:
    """Every combination of the values of its options; none of no option."""
    if not grid:
        return []
    values = product(*map(_as_list, grid.values()))
    return [dict(zip(grid, chosen, strict=True)) for chosen in values]


def _check(path: Path, study: Study) -> None:
    """Raise ValueError for what only the study as a whole shows."""
    labels = [row.label for row in study.rows]
    if not labels:
        raise ValueError(f'{path} needs rows')
    folders: dict[str, str] = {}
    for label in labels:
        if (other := folders.setdefault(folder_name(label), label)) != label:
            raise ValueError(
                f'{path}: rows {other!r} and {label!r} would share a folder; rename one'
            )
    if study.baseline is not None and study.baseline not in labels:
        raise ValueError(f'{path}: baseline {study.baseline!r} is no row; the rows are {labels}')
    numbers = {row.label: len(row.trials) for row in study.rows if not row.frozen}
    if len(set(numbers.values())) > 1:
        raise ValueError(f'{path}: every row takes the same number of trials, got {numbers}')
    tests = {name for row in study.rows for name in row.tests}
    shown = [*study.metrics, study.plot.get('y', study.metrics[0])]
    for name in shown:
        test, _, figure = name.rpartition('/')
        if (
            name not in FIGURES
            and not re.fullmatch(r'[A-Z]\S*', figure)
            or (test and test not in tests)
        ):
            raise ValueError(
                f'{path}: metrics has {name!r}; take figures of the evaluation such as Recall@1, '
                f'TEST/Recall@1 with TEST out of {sorted(tests)}, or one of {list(FIGURES)}'
            )
    for row in study.rows:
        place = f'{path}: row {row.label!r}'
        cfg = load_row(row)
        check_options(cfg, row.options, place)
        cfg = run_config(row, study.seeds[0])
        for options in (*row.trials, *row.tests.values()):
            check_options(cfg, options, place)
        for trial in row.trials:
            run_config(row, study.seeds[0], trial, study.val_classes)
        for test in row.tests:
            test_config(row, cfg, test)
