"""The data sets of a config: options that change all of them, and checks before anything slow."""

import inspect
import logging
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import RUNNERS, DefaultScope
from mmpretrain.registry import DATASETS, MODELS
from torch.utils.data import Dataset

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
DATA_FIELDS = ('data_root', 'protocol', 'reader', 'val_classes')
"""Options that change all data sets at once."""
RUNNER_READS = (  # from the config, beside its parameters
    *('runner_type', 'custom_imports', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn'),
    *('compile', 'precision', 'activation_checkpointing', 'efficient_conv_bn_eval'),
)


def merge_options(cfg: Config, options: dict | None) -> None:
    """Change a config in place by values of dotted names, as ``--cfg-options`` does.

    :data:`DATA_FIELDS` change all data sets at once, also as fields of the config itself. Of two
    settings the later here holds: a data set's in the config, all data sets' in the config, all
    data sets' in ``options``, a data set's in ``options``.

    Raises:
        ValueError: If an option names no field of the config, MMEngine's Runner or a data set, or
            would give the same images to several concatenated data sets.

    >>> cfg = Config(dict(protocol='closed', train_dataloader=dict(dataset=dict(reader='cub'))))
    >>> merge_options(cfg, {'data_root': 'birds'})
    >>> cfg.train_dataloader.dataset
    {'reader': 'cub', 'protocol': 'closed', 'data_root': 'birds'}
    """
    options = dict(options or {})
    runner = inspect.signature(RUNNERS.get(cfg.get('runner_type', 'Runner'))).parameters
    known = {*cfg, *DATA_FIELDS, *runner, *RUNNER_READS}
    for name in options:
        top = name.split('.')[0]
        if top not in known:
            close = get_close_matches(top, known, 1) or _ending_in(top, cfg)[:3]
            hint = (
                f'; is it {" or ".join(map(repr, close))}?'
                if close
                else f'; known are {sorted(known)}'
            )
            raise ValueError(f'--cfg-options {name}: no config has {top!r}{hint}')
    for name in cfg:
        if name not in DATA_FIELDS and (close := get_close_matches(name, DATA_FIELDS, 1, 0.75)):
            print_log(
                f'the config sets {name!r}, which changes no data set; is it {close[0]}?',
                logger='current',
                level=logging.WARNING,
            )
    shared = {name: cfg.pop(name) for name in DATA_FIELDS if name in cfg}
    shared |= {name: options.pop(name) for name in DATA_FIELDS if name in options}
    for loader in LOADERS:
        parts = data_sets(cfg, loader)
        for name in {'data_root', 'reader'} & set(shared) if len(parts) > 1 else ():
            raise ValueError(
                f'{name}={shared[name]} would give the {len(parts)} concatenated data sets of '
                f'{loader} the same images; set each by --cfg-options '
                f'{loader}.dataset.datasets.0.{name}=...'
            )
        for data in parts:
            data.update(shared)
    cfg.merge_from_dict(options)


def _ending_in(name: str, cfg: Mapping, prefix: str = '') -> list[str]:
    """The dotted names of a config's fields that end in a name, the shortest first."""
    found = []
    for key, value in cfg.items():
        found += [f'{prefix}{key}'] * (key == name)
        found += _ending_in(name, value, f'{prefix}{key}.') if isinstance(value, Mapping) else []
    return sorted(found, key=lambda dotted: dotted.count('.'))


def data_sets(cfg: Config, *loaders: str) -> list[ConfigDict]:
    """The configs of all data sets, or of some loaders', inside of MMEngine's wrappers.

    >>> inner = dict(type='FineGrainedDataset')
    >>> cfg = Config(dict(val_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=inner))))
    >>> data_sets(cfg)
    [{'type': 'FineGrainedDataset'}]
    """

    def leaves(data: ConfigDict) -> list[ConfigDict]:
        inner = data.get('datasets') or ([data.dataset] if 'dataset' in data else [])
        return [leaf for part in inner for leaf in leaves(part)] or [data]

    return [
        leaf for name in loaders or LOADERS if cfg.get(name) for leaf in leaves(cfg[name].dataset)
    ]


def check_datasets(cfg: Config) -> None:
    """Read every data set of a config before anything slow starts, and count the classes.

    A head that takes ``num_classes`` gets the training set's number where it has none.

    Raises:
        FileNotFoundError, ValueError: As the data set does.
        ValueError: If ``num_classes`` is not the training set's, or a data set of held-out classes
            (``split='val'``) does not fit the training set.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        for name in LOADERS:
            if not cfg.get(name):
                continue
            dataset = DATASETS.build(cfg[name].dataset)
            if name == 'train_dataloader':
                training = _parts(dataset)
            elif cfg.get('train_dataloader'):
                _check_held_out(name, dataset, training)
            classes = dataset.metainfo.get('classes')
            head = cfg.model.get('head')
            if name != 'train_dataloader' or head is None or classes is None:
                continue
            takes = 'num_classes' in inspect.signature(MODELS.get(head.type)).parameters
            if head.get('num_classes') is None:
                head.update(dict(num_classes=len(classes)) if takes else {})
            elif head.num_classes != len(classes):
                raise ValueError(
                    f'model.head.num_classes is {head.num_classes}, but the training set has '
                    f'{len(classes)} classes; set it to that, or to None to have it counted'
                )


def _parts(dataset: Dataset) -> list[Dataset]:
    """The data sets inside of MMEngine's wrappers: repeated, balanced, concatenated."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    return [dataset] if inner == [None] else [part for each in inner for part in _parts(each)]


def _check_held_out(loader: str, dataset: Dataset, training: Sequence[Dataset]) -> None:
    """Raise ValueError if classes that ``dataset`` holds out may be among those that train."""
    for held_out, train_set in product(_parts(dataset), training):
        if getattr(held_out, 'split', None) != 'val':
            continue
        different = []
        for name in DATA_FIELDS:
            values = same = [getattr(data, name, None) for data in (held_out, train_set)]
            if name == 'data_root':
                same = [os.path.realpath(os.path.expanduser(value or '')) for value in values]
            if same[0] != same[1]:
                different.append(f'{name} is {values[0]} and {values[1]}')
        if different:
            raise ValueError(
                f"{loader} holds out training classes (split='val'), but its data set and that of "
                f'train_dataloader differ: {"; ".join(different)}. So classes that train would '
                f'validate. Set them alike: --cfg-options val_classes={held_out.val_classes} (as '
                'data_root, reader and protocol) changes all data sets at once'
            )
