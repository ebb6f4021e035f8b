"""Mistakes in a study file, found before anything runs."""

import ast
import copy
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmpretrain import registry

from dva_mm.engine.data import DATA_FIELDS


def check_names(place: str, values: dict, known: Iterable[str], needed: Iterable[str] = ()) -> None:
    """Raise ValueError for an unknown key, or for one that is missing.

    >>> check_names('study.py', dict(rows={}, seed=1), ['rows', 'seeds'])
    Traceback (most recent call last):
        ...
    ValueError: study.py: unknown key 'seed'; did you mean 'seeds'?
    """
    if not isinstance(values, dict):
        raise ValueError(f'{place} must be a dict, got {values!r}')
    for name in values:
        if name not in known:
            close = get_close_matches(str(name), known, 1)
            hint = f'did you mean {close[0]!r}?' if close else f'known are {sorted(known)}'
            raise ValueError(f'{place}: unknown key {name!r}; {hint}')
    for name in needed:
        if name not in values:
            raise ValueError(f'{place} lacks {name!r}')


def check_labels(path: Path) -> None:
    """Raise ValueError if a dict of the file has a key twice, of which Python keeps the last."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'), str(path))):
        if isinstance(node, ast.Dict):
            keys = Counter(key.value for key in node.keys if isinstance(key, ast.Constant))
            for key, count in keys.items():
                if count > 1:
                    raise ValueError(f'{path}, line {node.lineno}: {key!r} is there {count} times')


def check_options(cfg: Config, options: Mapping, place: str) -> None:
    """Raise ValueError if an option names no field of the config and no argument of its classes.

    Where an option changes a class, by ``NAME.type`` or by a dict, the others are those of the new
    one.

    Args:
        cfg: Config that the options would change.
        options: Dotted names, as for ``--cfg-options``, and values; of a value that is a class's
            dict, each argument is checked.
        place: Where the options stand, for the error.

    >>> cfg = Config(dict(model=dict(head=dict(type='DVAHead'))))
    >>> check_options(cfg, {'model.head.bta': 0.5}, 'x.py')
    Traceback (most recent call last):
        ...
    ValueError: x.py: model.head.bta: DVAHead has no 'bta'; did you mean 'beta'?
    """
    dicts = {n: v for n, v in options.items() if isinstance(v, dict) and 'type' in v}
    types = {n: v for n, v in options.items() if n.endswith('.type')}
    cfg = _changed(cfg, dicts, place)
    old = {name: _find(cfg, name) for name in types}
    cfg = _changed(cfg, types, place)
    for name, value in types.items():
        _check_type(name, old[name], value, _find(cfg, name.removesuffix('.type')), place)
    for name, value in options.items():
        _check_option(cfg, name, value, place)


def _changed(cfg: Config, options: Mapping, place: str) -> Config:
    """The config with the options, which name fields of it; a copy where there are any."""
    for name, value in options.items():
        _check_option(cfg, name, value, place)
    if not options:
        return cfg
    cfg = copy.deepcopy(cfg)
    try:
        cfg.merge_from_dict(copy.deepcopy(options))
    except TypeError as error:
        raise ValueError(f'{place}: {error}') from error
    return cfg


def _check_type(name: str, old: object, new: object, node: ConfigDict, place: str) -> None:
    """Whether a new class can take the arguments that the config has for the old one."""
    if _class(new) is None:
        if old is not None and _class(old) is None:
            return  # of no registry of ours, such as a loss of PML
        raise ValueError(f'{place}: {name}: no class {new!r} is registered')
    taken = _arguments(new)
    lost = [] if taken is None else [key for key in node if key not in {'type', *taken}]
    if lost:
        parent = name.removesuffix('.type')
        raise ValueError(
            f'{place}: {name}: {new} has no {lost}, which the config has for {old}; replace the '
            f'whole, {{{parent!r}: dict(_delete_=True, type={new!r}, ...)}}'
        )


def _find(cfg: Config, name: str) -> object:
    """What stands at a dotted name, or None."""
    node: object = cfg
    for part in name.split('.'):
        if isinstance(node, list | tuple) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            node = node.get(part) if isinstance(node, Config | ConfigDict) else None
    return node


def _check_option(cfg: Config, name: str, value: object, place: str) -> None:
    if isinstance(value, dict) and 'type' in value:
        node = ConfigDict(type=value['type'])
        if _class(node.type) is None:
            raise ValueError(f'{place}: {name}: no class {node.type!r} is registered')
        for key in value.keys() - {'type', '_delete_'}:
            _check_leaf(node, key, [], f'{place}: {name}')
    if name in DATA_FIELDS:
        return
    *parents, leaf = name.split('.')
    node: object = cfg
    for part in parents:
        if isinstance(node, list | tuple) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Config | ConfigDict) and node.get(part) is not None:
            node = node.get(part)
        elif isinstance(node, Config | ConfigDict) and part in node:
            return  # None, which the option replaces
        else:
            known = list(node) if isinstance(node, Config | ConfigDict) else []
            _check_leaf(node, part, known, f'{place}: {name}')
            return
    _check_leaf(node, leaf, list(node), f'{place}: {name}')


def _check_leaf(node: object, leaf: str, known: list, place: str) -> None:
    if isinstance(node, Config) or leaf in known:
        return  # merge_options checks the fields of the config itself
    if isinstance(node, list | tuple):
        if not leaf.isdecimal() or int(leaf) >= len(node):
            raise ValueError(f'{place}: no entry {leaf!r} in a list of {len(node)}')
        return
    kind = node.get('type') if isinstance(node, ConfigDict) else None
    if kind is None:
        return  # a dict of any names, such as paramwise_cfg's
    taken = _arguments(kind)
    if taken is not None and leaf not in taken:
        close = get_close_matches(leaf, [*taken, *known], 1)
        hint = f'did you mean {close[0]!r}?' if close else f'it takes {sorted(taken)}'
        raise ValueError(f'{place}: {kind} has no {leaf!r}; {hint}')


def _class(kind: object) -> object:
    """What a config's ``type`` names, or None."""
    if not isinstance(kind, str):
        return kind
    registries = [each for each in vars(registry).values() if isinstance(each, Registry)]
    return next((found for each in registries if (found := each.get(kind)) is not None), None)


def _arguments(kind: object) -> set[str] | None:
    """The arguments of a registered class, of its bases too where it hands them on; None: any."""
    found = _class(kind)
    if not inspect.isclass(found):
        return None
    names: set[str] = set()
    for each in inspect.getmro(found):
        if '__init__' not in vars(each):
            continue
        parameters = inspect.signature(each.__init__).parameters.values()
        names |= {p.name for p in parameters} - {'self'}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return None
