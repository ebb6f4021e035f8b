"""What makes two runs the same, their configs and their images, and what code ran.

Code and files of weights do not make another run: their commit and their names are on the line.
"""

import hashlib
import inspect
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS, DefaultScope
from mmpretrain.registry import DATASETS

import dva_mm
from dva_mm.datasets.box_file import image_root
from dva_mm.engine.data import RUNNER_READS, data_sets

FOLDERS = ('data_root', 'work_dir', 'out_dir', 'resume', 'per_class_file')
"""Fields that say where things lie, which changes no figure; so does ``cache.folder``."""
FILES = ('pretrained', 'boxes', 'load_from')
"""Fields whose file counts by its name."""
HOW = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')
_BESIDE = ('work_dir', 'launcher', 'experiment_name', 'log_level', 'log_processor', 'visualizer')
PACKAGES = ('torch', 'mmengine', 'mmpretrain', 'timm', 'numpy')


def portable(value: object, name: str = '') -> object:
    """Make JSON values of a config's, without folders of this machine.

    >>> portable({'data_root': '/home/me/birds', 'boxes': 'a/b.jsonl', 'scale': (8, 8)})
    {'data_root': 'birds', 'boxes': 'b.jsonl', 'scale': [8, 8]}
    """
    if isinstance(value, dict):
        return {str(key): portable(item, f'{name}.{key}') for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item, name) for item in value]
    if isinstance(value, str) and _is_one_of(name, (*FOLDERS, *FILES)):
        return Path(value).name
    if value is None or isinstance(value, str | int | float):
        return value
    return getattr(value, '__name__', None) or repr(value)


def _is_one_of(name: str, fields: tuple[str, ...]) -> bool:
    """Whether a dotted name ends in one of these fields, or in the folder of a cache."""
    return name.rpartition('.')[2] in fields or f'.{name}'.endswith('.cache.folder')


def _without(value: object, fields: tuple[str, ...], name: str = '') -> object:
    if isinstance(value, dict):
        named = {key: f'{name}.{key}' for key in value if not _is_one_of(f'{name}.{key}', fields)}
        return {key: _without(value[key], fields, inner) for key, inner in named.items()}
    if isinstance(value, list):
        return [_without(item, fields, name) for item in value]
    return value


def runner_fields(cfg: Config) -> dict:
    """What MMEngine's Runner reads of a config; a config's own helpers are left out.

    >>> runner_fields(Config(dict(work_dir='a', my_pipeline=[])))
    {'work_dir': 'a'}
    """
    read = inspect.signature(RUNNERS.get(cfg.get('runner_type', 'Runner'))).parameters
    return {k: v for k, v in cfg.to_dict().items() if k in {*read, *RUNNER_READS}}


def config_hash(cfg: Config) -> str:
    """Hash what MMEngine's Runner reads of a config, but for its seed and where files lie.

    >>> config_hash(Config(dict(work_dir='a'))) == config_hash(Config(dict(work_dir='b')))
    True
    >>> config_hash(Config(dict(model=1))) == config_hash(Config(dict(model=2)))
    False
    """
    kept = {k: v for k, v in runner_fields(cfg).items() if k not in _BESIDE}
    kept.get('randomness', {}).pop('seed', None)
    text = json.dumps(_without(portable(kept), (*FOLDERS, *HOW)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_HASHED: dict[str, str] = {}


def data_hash(cfg: Config, *loaders: str) -> str:
    """Hash the images of some loaders: path below the data root, size, label and box of each.

    Args:
        cfg: Config with the data sets.
        loaders: Such as ``'train_dataloader'``.

    Raises:
        FileNotFoundError, ValueError: As the data sets do.
    """
    parts = []
    for data in data_sets(cfg, *loaders):
        plain = {**data.to_dict(), 'pipeline': []}
        key = json.dumps(plain, sort_keys=True, default=repr)
        if key not in _HASHED:
            scope = cfg.get('default_scope', 'mmpretrain')
            with DefaultScope.overwrite_default_scope(scope):
                dataset = DATASETS.build(plain)
            root = image_root(plain.get('data_root') or '.')
            digest = hashlib.sha256()
            for index in range(len(dataset)):
                item = dataset.get_data_info(index)
                path, box = item['img_path'], item.get('box')
                shown = os.path.relpath(path, root).replace(os.sep, '/')
                box = None if box is None else [float(value) for value in box]
                entry = [shown, os.path.getsize(path), item['gt_label'], box]
                digest.update(json.dumps(entry).encode())
            _HASHED[key] = digest.hexdigest()
        parts.append(_HASHED[key])
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:12]


def environment() -> dict:
    """Versions, commit and device of this process: ``versions``, ``commit``, ``dirty``, ``host``.

    >>> sorted(environment())
    ['commit', 'dirty', 'host', 'versions']
    """
    import torch

    versions = dict(python=platform.python_version(), dva_mm=dva_mm.__version__)
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    host = dict(cpus=os.cpu_count(), machine=platform.machine(), gpu=gpu)
    commit, dirty = _commit()
    return dict(versions=versions, commit=commit, dirty=dirty, host=host)


def _commit() -> tuple[str | None, bool | None]:
    """The checkout's commit, and whether code or configs differ from it; None of a wheel."""
    package = Path(dva_mm.__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ['git', '-C', str(package.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git('rev-parse', '--show-toplevel')) != package.parent:
            return None, None
        return git('rev-parse', 'HEAD'), bool(git('status', '--porcelain', 'dva_mm', 'configs'))
    except (OSError, subprocess.CalledProcessError):
        return None, None
