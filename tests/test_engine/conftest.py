"""Runs on a tiny ViT and a tiny data set."""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from mmengine.runner import Runner
from tiny_data import write_config, write_cub, write_weights

from dva_mm import load_config
from dva_mm.engine.data import check_datasets

RUNS = count()


@pytest.fixture(scope='session')
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tiny')
    write_cub(folder / 'cub')
    write_weights(folder / 'vit.safetensors')
    return write_config(folder / 'tiny.py', folder / 'cub', folder / 'vit.safetensors')


@pytest.fixture(scope='session')
def make_runner(config_file: Path) -> Callable[..., Runner]:
    """Builds the config's Runner, after changes to the config as ``--cfg-options`` makes them."""

    def make(work_dir: Path, options: dict | None = None) -> Runner:
        cfg = load_config(config_file)
        # MMEngine keeps loggers by name, and by default the name is the time in seconds.
        cfg.merge_from_dict(
            {'work_dir': str(work_dir), 'experiment_name': f'run{next(RUNS)}', **(options or {})}
        )
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name].collate_fn = dict(type='default_collate')
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
def resumed(
    make_runner: Callable[..., Runner],
    trained: Runner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runner:
    """The finished run of three epochs, resumed elsewhere for two more."""
    folder = tmp_path_factory.mktemp('resumed')
    for epoch in (2, 3):
        shutil.copy(Path(trained.work_dir) / f'epoch_{epoch}.pth', folder)
    options = {'resume': True, 'load_from': str(folder / 'epoch_3.pth'), 'train_cfg.max_epochs': 5}
    runner = make_runner(folder, options)
    runner.train()
    return runner
