"""Losses, miners, distances, reducers and regularisers of pytorch-metric-learning, by name."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from types import ModuleType

import torch
import torch.nn as nn
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers

_FAMILIES: tuple[ModuleType, ...] = (losses, miners, distances, reducers, regularizers)
_UNSUITED = dict(
    DynamicSoftMarginLoss='keeps the graph of the last batch, and fails at the second',
    GenericPairLoss='is a base class of losses',
    ManifoldLoss='does not learn from labels',
    SelfSupervisedLoss='does not learn from labels',
    VICRegLoss='does not learn from labels',
)


def names(family: ModuleType) -> list[str]:
    """The classes of one of PML's families that can be built.

    >>> 'ProxyAnchorLoss' in names(losses)
    True
    """
    classes = [name for name, value in vars(family).items() if inspect.isclass(value)]
    unfit = [name for name in classes if name.startswith('Base') or name.endswith('Mixin')]
    return [name for name in classes if name not in unfit and name not in _UNSUITED]


def build_pml(config: Mapping, known: Mapping[str, int]) -> nn.Module:
    """Build a PML object, and the PML objects among its options, from config dicts.

    Args:
        config: ``dict(type='ProxyAnchorLoss', margin=0.1)``. An option may itself be such a dict
            (``distance``, ``reducer``, ``embedding_regularizer``, the ``loss`` of a
            CrossBatchMemory), or a list or dict of them (MultipleLosses, MultipleReducers).
            ``weight_init_func`` takes e.g. ``dict(type='normal_', std=0.01)`` of ``torch.nn.init``.
        known: Values for options that a class requires and the config leaves out, such as
            ``num_classes`` and ``embedding_size``.

    Raises:
        ValueError: if a name is unknown or cannot be built, or the class refuses its options.

    >>> build_pml(dict(type='ProxyAnchorLoss'), dict(num_classes=3, embedding_size=4)).proxies.shape
    torch.Size([3, 4])
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"a config is e.g. dict(type='TripletMarginLoss'), got {config!r}")
    options = dict(config)
    name = options.pop('type', None)
    cls = _find(name)
    for key, value in options.items():
        options[key] = _init_function(value) if key == 'weight_init_func' else _nested(value, known)
    if name == 'ClassWeightedReducer' and 'weights' in options:  # a config holds no tensors
        options['weights'] = torch.as_tensor(options['weights'])
    for key in _required(cls) & known.keys():
        options.setdefault(key, known[key])
    try:
        return cls(**options)
    except Exception as error:
        raise ValueError(f'{name} of pytorch-metric-learning refuses {options}: {error}') from error


def _nested(value: object, known: Mapping[str, int]) -> object:
    if isinstance(value, Mapping):
        if 'type' in value:
            return build_pml(value, known)
        return {key: _nested(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nested(item, known) for item in value]
    return value


def _find(name: object) -> type:
    if name in _UNSUITED:
        raise ValueError(f'{name} of pytorch-metric-learning cannot be built: it {_UNSUITED[name]}')
    classes = {known: vars(family)[known] for family in _FAMILIES for known in names(family)}
    if name not in classes:
        near = get_close_matches(str(name), classes, n=3, cutoff=0.3)
        raise ValueError(f'pytorch-metric-learning has no {name!r}; the closest are {near}')
    return classes[name]


def _init_function(value: Mapping) -> partial:
    options = dict(value)
    name = options.pop('type', '')
    if not name.endswith('_') or not hasattr(nn.init, name):
        raise ValueError(f"weight_init_func takes e.g. dict(type='normal_', std=0.01), got {value}")
    return partial(getattr(nn.init, name), **options)


def _required(cls: type) -> set[str]:
    """Options that a class or one of its parents takes and has no default for."""
    required: dict[str, bool] = {}
    for parent in reversed(cls.__mro__):  # a child's default counts, whatever its parent says
        for option in list(inspect.signature(parent.__init__).parameters.values())[1:]:
            if option.kind in (option.POSITIONAL_OR_KEYWORD, option.KEYWORD_ONLY):
                required[option.name] = option.default is option.empty
    return {name for name, needed in required.items() if needed}
