"""A study file -> its rows, its seeds and the config of each run."""

import copy
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from mmengine.config import Config

from dva_mm.config import PREFIX, find_config, load_config
from dva_mm.engine.data import DATA_FIELDS, data_sets, merge_options

from .check import check_labels, check_names, check_option
from .identity import config_hash, portable

FIGURES = ('trainable', 'embedding', 'seconds', 'step_seconds', 'memory_mb', 'cuda_mb')
"""Columns of a table beside the metrics."""
STUDY_KEYS = {
    *('name', 'description', 'rows', 'seeds', 'options', 'search', 'tests'),
    *('metrics', 'baseline', 'plot'),
}
ROW_KEYS = {'config', 'options', 'variables', 'grid', 'frozen', 'tests', 'x', 'line'}
PLOT_KEYS = {'y', 'x_label', 'title', 'log'}


@dataclass(frozen=True)
class Row:
    """One row of a study: a config and what is changed in it.

    ``grid`` holds the options of each trial; ``tests`` the options of each further test; ``x`` and
    ``line`` place the row in the plot. ``config`` is a path, ``shown`` its name in the results.
    """

    label: str
    config: str
    shown: str
    options: dict = field(default_factory=dict)
    variables: dict = field(default_factory=dict)
    trials: tuple[dict, ...] = ()
    frozen: bool = False
    tests: dict = field(default_factory=dict)
    x: float | None = None
    line: str | None = None


@dataclass(frozen=True)
class Study:
    """A matrix of rows and seeds, and how its results are shown; :func:`load_study` reads one."""

    name: str
    description: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    val_classes: float
    metrics: tuple[str, ...]
    baseline: str | None
    plot: dict

    def header(self) -> dict:
        """What tables and plots need beside the runs, as the results keep it."""
        rows = [dict(label=r.label, x=r.x, line=r.line, trials=len(r.trials)) for r in self.rows]
        return dict(
            study=self.name,
            kind='header',
            description=self.description,
            rows=rows,
            metrics=list(self.metrics),
            baseline=self.baseline,
            val_classes=self.val_classes,
            plot=self.plot,
        )


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
        f'{path}: search', search, {'val_classes', 'grid'}, needed=('val_classes',) * bool(search)
    )
    rows = tuple(
        _read_row(path, label, row, values, search, options or {})
        for label, row in values['rows'].items()
    )
    plot = dict(values.get('plot') or {})
    check_names(f'{path}: plot', plot, PLOT_KEYS)
    study = Study(
        name=values.get('name', path.stem),
        description=values.get('description', ''),
        rows=rows,
        seeds=tuple(values.get('seeds', (0, 1, 2))),
        val_classes=search.get('val_classes', 0.0),
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
    lists = [value if isinstance(value, list | tuple) else [value] for value in grid.values()]
    trials = (
        tuple(dict(zip(grid, chosen, strict=True)) for chosen in product(*lists)) if grid else ()
    )
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


def _check(path: Path, study: Study) -> None:
    """Raise ValueError for what only the study as a whole shows."""
    labels = [row.label for row in study.rows]
    if not labels or not study.seeds or len(set(study.seeds)) < len(study.seeds):
        raise ValueError(f'{path} needs rows, and seeds that differ; got seeds={study.seeds}')
    if any(type(seed) is not int or seed < 0 for seed in study.seeds):
        raise ValueError(f'{path}: seeds must be whole numbers from 0, got {study.seeds}')
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
        for name, value in row.options.items():
            check_option(cfg, name, value, place)
        cfg = run_config(row, study.seeds[0])
        for options in (*row.trials, *row.tests.values()):
            for name, value in options.items():
                check_option(cfg, name, value, place)
        for trial in row.trials:
            run_config(row, study.seeds[0], trial, study.val_classes)
        for test in row.tests:
            test_config(row, cfg, test)


def folder_name(label: str) -> str:
    """The name of a row's folder of runs.

    >>> folder_name('DVA, beta 0.5')
    'DVA_beta_0.5'
    """
    return re.sub(r'[^\w.+-]+', '_', label).strip('_') or '_'


_LOADED: dict[tuple, Config] = {}


def load_row(row: Row) -> Config:
    """The config of a row as its file has it, read under the row's environment variables."""
    key = (row.config, *sorted(row.variables.items()))
    if key not in _LOADED:
        with _environment(row.variables):
            _LOADED[key] = load_config(row.config)
    return copy.deepcopy(_LOADED[key])


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def run_config(row: Row, seed: int, chosen: dict | None = None, val_classes: float = 0.0) -> Config:
    """The merged config of one run.

    Args:
        row: A row of a study.
        seed: Of the run.
        chosen: Options of one trial, or the chosen one's. Default None.
        val_classes: Share of the training classes that are held out and evaluated, in a trial;
            0, the default: the test classes are evaluated.

    >>> study = load_study('dva_mm::studies/demo.py')
    >>> run_config(study.rows[-1], seed=2).randomness
    {'seed': 2, 'deterministic': False}
    """
    cfg = load_row(row)
    merge_options(cfg, copy.deepcopy({**row.options, **(chosen or {}), 'randomness.seed': seed}))
    if val_classes:
        (train,) = data_sets(cfg, 'train_dataloader')
        shared = {name: train[name] for name in DATA_FIELDS if name in train}
        for data in data_sets(cfg):
            data.update(shared, val_classes=val_classes)
        for data in data_sets(cfg, 'val_dataloader', 'test_dataloader'):
            data.split = 'val'
    return cfg


def test_config(row: Row, cfg: Config, test: str) -> Config:
    """The config of a further test of a run, ``test`` being its name."""
    cfg = copy.deepcopy(cfg)
    merge_options(cfg, copy.deepcopy(row.tests[test]))
    return cfg


@dataclass(frozen=True)
class Run:
    """One run of a study: a trial on held-out classes, or a run whose figures count.

    ``identity`` says which line of the results is this run's.
    """

    row: Row
    seed: int
    cfg: Config
    trial: int | None = None
    chosen: dict = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """'trial' or 'run', as the results name it."""
        return 'run' if self.trial is None else 'trial'

    @property
    def name(self) -> str:
        """How the screen names it."""
        trial = '' if self.trial is None else f', trial {self.trial + 1} of {len(self.row.trials)}'
        return self.row.label + (trial or ('' if self.row.frozen else f', seed {self.seed}'))

    def identity(self, data: str | None) -> dict:
        """The fields by which a line of the results is this run's; ``data`` is its hash."""
        fields = dict(kind=self.kind, row=self.row.label, seed=self.seed)
        fields |= dict(config_hash=config_hash(self.cfg), chosen=portable(self.chosen))
        return fields if data is None else fields | dict(data_hash=data)


def trial_runs(study: Study, row: Row) -> list[Run]:
    """The trials of a row, on the study's first seed."""
    seed = study.seeds[0]
    return [
        Run(row, seed, run_config(row, seed, options, study.val_classes), number, options)
        for number, options in enumerate(row.trials)
    ]


def final_runs(study: Study, row: Row, chosen: dict | None = None) -> list[Run]:
    """The runs of a row whose figures count; of a frozen encoder one, which needs no seed."""
    seeds = study.seeds[:1] if row.frozen else study.seeds
    return [Run(row, seed, run_config(row, seed, chosen), chosen=chosen or {}) for seed in seeds]
