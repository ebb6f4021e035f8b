"""Runs on a tiny ViT and a tiny data set."""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from tiny_data import write_config, write_cub, write_weights
from torch import nn

from dva_mm import load_config
from dva_mm.engine.data import check_datasets
from dva_mm.engine.hooks import prepare_hooks
from dva_mm.engine.resume import set_resume

RUNS = count()


@pytest.fixture(scope='session')
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tiny')
    write_cub(folder / 'cub')
    write_weights(folder / 'vit.safetensors')
    return write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')


@pytest.fixture(scope='session')
def make_runner(config_file: Path) -> Callable[..., Runner]:
    """Builds the Runner of a child config, after the options of a command line."""

    def make(
        work_dir: Path,
        options: dict | None = None,
        child: str = '',
        tuning: dict | None = None,
        resume: str | None = None,
    ) -> Runner:
        file = work_dir / 'child.py'
        work_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(f'_base_ = [{str(config_file)!r}]\n{child}')
        cfg = load_config(file)
        if tuning:
            cfg.model.backbone.tuning = tuning
        # MMEngine keeps loggers by name, and by default the name is the time in seconds.
        cfg.merge_from_dict(
            {'work_dir': str(work_dir), 'experiment_name': f'run{next(RUNS)}', **(options or {})}
        )
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name].collate_fn = dict(type='default_collate')
        prepare_hooks(cfg)
        set_resume(cfg, resume)
        check_datasets(cfg)
        return Runner.from_cfg(cfg)

    return make


@pytest.fixture(scope='session')
def trained(make_runner: Callable[..., Runner], tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A finished run of three epochs."""
    runner = make_runner(tmp_path_factory.mktemp('trained'))
    runner.train()
    return runner


@pytest.fixture(scope='session')
def build(trained: Runner) -> Callable[..., nn.Module]:
    """Builds the run's model, untrained, with another tuning or other options of its backbone."""

    def make(tuning: dict | None = dict(type='ICA', rank=4), **options) -> nn.Module:
        config = trained.cfg.model.to_dict()
        config['backbone'].update(tuning=tuning, **options)
        return MODELS.build(config)

    return make


@pytest.fixture(scope='session')
def resumed(
    make_runner: Callable[..., Runner],
    trained: Runner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runner:
    """The finished run of three epochs, resumed elsewhere for two more."""
    folder = tmp_path_factory.mktemp('resumed')
    for epoch in (2, 3):
        shutil.copy(Path(trained.work_dir) / f'epoch_{epoch}.pth', folder)
    runner = make_runner(folder, {'train_cfg.max_epochs': 5}, resume='auto')
    runner.train()
    return runner
