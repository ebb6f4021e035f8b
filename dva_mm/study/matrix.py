"""Rows and seeds -> the config of each run."""

import copy
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmengine.config import Config

from dva_mm.config import load_config
from dva_mm.engine.data import DATA_FIELDS, data_sets, merge_options

from .identity import config_hash, portable


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
    first_seed: int  # of frozen encoders, and of trials by default, whichever seeds are run
    val_classes: float
    trial_seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    baseline: str | None
    plot: dict

    def header(self) -> dict:
        """What tables and plots need beside the runs, as the results keep it."""
        rows = [
            dict(label=r.label, x=r.x, line=r.line, trials=[portable(t) for t in r.trials])
            for r in self.rows
        ]
        return dict(
            study=self.name,
            kind='header',
            description=self.description,
            rows=rows,
            metrics=list(self.metrics),
            baseline=self.baseline,
            val_classes=self.val_classes,
            trial_seeds=list(self.trial_seeds),
            plot=self.plot,
        )


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

    >>> from dva_mm.study import load_study
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
        return self.row.label + trial + ('' if self.row.frozen else f', seed {self.seed}')

    def identity(self, data: str | None) -> dict:
        """The fields by which a line of the results is this run's; ``data`` is its hash."""
        fields = dict(kind=self.kind, row=self.row.label, seed=self.seed)
        fields |= dict(config_hash=config_hash(self.cfg), chosen=portable(self.chosen))
        return fields if data is None else fields | dict(data_hash=data)


def trial_runs(study: Study, row: Row) -> list[Run]:
    """The trials of a row: each of its settings with each seed of the study's search."""
    return [
        Run(row, seed, run_config(row, seed, options, study.val_classes), number, options)
        for seed in study.trial_seeds
        for number, options in enumerate(row.trials)
    ]


def final_runs(study: Study, row: Row, chosen: dict | None = None) -> list[Run]:
    """The runs of a row whose figures count; of a frozen encoder one, which needs no seed."""
    seeds = (study.first_seed,) if row.frozen else study.seeds
    return [Run(row, seed, run_config(row, seed, chosen), chosen=chosen or {}) for seed in seeds]
