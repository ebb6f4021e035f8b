"""Configs that inherit from the ones shipped with this package, from any folder."""

import ast
import os
import re
from contextlib import suppress
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

PREFIX = 'dva_mm::'
ENV = re.compile(r'\{\{[\'"]?\s*\$(\w+)\s*:\s*(\S*?)\s*[\'"]?\}\}')  # {{$NAME:default}}


def config_path(name: str) -> str:
    """Return the absolute path of a config shipped with this package.

    Args:
        name: A path below the shipped ``configs`` folder, with or without ``'dva_mm::'`` in front.

    Raises:
        FileNotFoundError: No shipped config has that name.

    >>> config_path('dva_demo.py') == config_path('dva_mm::dva_demo.py')
    True
    """
    package = Path(__file__).resolve().parent
    root = package / '.mim' / 'configs'
    if not root.is_dir():  # a checkout whose git wrote the link as a plain file
        root = package.parent / 'configs'
    name = name.removeprefix(PREFIX)
    if not (root / name).is_file():
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob('*.py'))
        close = get_close_matches(name, names) or [n for n in names if '/' not in n]
        raise FileNotFoundError(
            f'{PREFIX}{name} is not a config of this package; did you mean one of '
            f'{", ".join(PREFIX + n for n in close)}?'
        )
    return str((root / name).resolve())


def find_config(filename: str | Path) -> Path:
    """Return the absolute path of a config: a file's, or a shipped one's for ``dva_mm::NAME.py``.

    Raises:
        FileNotFoundError: There is no such config.

    >>> find_config('dva_mm::dva_demo.py').name
    'dva_demo.py'
    """
    if str(filename).startswith(PREFIX):
        return Path(config_path(str(filename)))
    path = Path(os.path.abspath(os.path.expanduser(filename)))
    _check_exists(path, f'nor is it {PREFIX}NAME.py')
    return path


def _check_exists(path: Path, wanted: str) -> None:
    if not path.is_file():
        beside = ', '.join(sorted(other.stem for other in path.parent.glob('*.py')))
        raise FileNotFoundError(
            f'There is no config {path}, {wanted}' + (f'; beside it are: {beside}' * bool(beside))
        )


def load_config(filename: str | Path) -> Config:
    """Load a config as :meth:`mmengine.config.Config.fromfile` does, also one of this package.

    MMEngine knows ``'package::file'`` bases of OpenMMLab's packages alone. Here a ``.py`` config,
    or any of its bases, may also say ``_base_ = ['dva_mm::dva_vit_cub.py']``.

    Args:
        filename: Path of a config, or ``'dva_mm::NAME.py'`` for one shipped with this package.

    Raises:
        FileNotFoundError: The config or one of its bases does not exist.
        ValueError: A config is its own base, or a file that is not Python has a base of ours.

    >>> load_config('dva_mm::dva_demo.py').model.type
    'DVARetriever'
    """
    path = find_config(filename)
    filename = str(path) if str(filename).startswith(PREFIX) else str(filename)
    with TemporaryDirectory() as folder:
        texts: dict[str, str] = {}
        copy = _rewrite(path, Path(folder), texts, ())
        import_module(__package__).register()  # what a config builds
        if copy == path:
            return Config.fromfile(filename)
        cfg = Config.fromfile(copy)
    text = reduce(lambda text, pair: text.replace(*pair), texts.items(), cfg.text)
    return Config(cfg.to_dict(), text, filename, cfg.env_variables)


def _rewrite(path: Path, folder: Path, texts: dict[str, str], children: tuple[Path, ...]) -> Path:
    """Copy a config into ``folder``, its bases made absolute, if it inherits from this package.

    ``texts`` gets the copy's and the original's part of ``Config.text``; ``children`` are the
    configs that led here. Returns the copy, or ``path`` if MMEngine can load that as it is.
    """
    _check_exists(path, f'a base of {children[-1]}' if children else '')
    original = path.read_text(encoding='utf-8')
    if path.suffix != '.py':
        if PREFIX in original:
            raise ValueError(f'{path} has a base in {PREFIX!r}: make it a .py config')
        return path
    chain = (*children, path.resolve())
    if path.resolve() in children:
        raise ValueError(f'A config is its own base: {" -> ".join(map(str, chain))}')
    variables = dict(fileDirname=path.parent.as_posix(), fileBasename=path.name)
    variables |= dict(fileBasenameNoExtension=path.stem, fileExtname=path.suffix)
    text = re.sub(r'\{\{\s*(file[A-Z]\w*)\s*\}\}', lambda m: variables.get(m[1], m[0]), original)
    bases, line = _bases(text, path)
    resolved, inherits = [], False
    for base in bases:
        ours = base.startswith(PREFIX)
        if ours or '::' not in base:  # any other package's is found by MMEngine
            found = Path(os.path.abspath(config_path(base) if ours else path.parent / base))
            base = str(_rewrite(found, folder, texts, chain))
            inherits |= ours or base != str(found)
        resolved.append(base)
    if not inherits:
        return path
    # MMEngine takes the first `_base_` and drops the others; on one line, errors keep their line.
    lines = text.split('\n')
    lines[line - 1] = f'_base_ = {resolved!r}; {lines[line - 1]}'
    copy = folder / str(len(texts)) / path.name
    copy.parent.mkdir()
    copy.write_text('\n'.join(lines), encoding='utf-8')
    texts['\n'.join([str(copy), *lines])] = f'{path}\n{original}'
    return copy


def _bases(text: str, path: Path) -> tuple[list[str], int]:
    """Read the first top-level ``_base_ = ...``: its values and its line, counted from 1."""
    for node in ast.parse(text, str(path)).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == '_base_':
            with suppress(TypeError, ValueError):  # other than literal strings: left to MMEngine
                value = ast.literal_eval(node.value)
                bases = value if isinstance(value, list) else [value]
                bases = [ENV.sub(lambda m: os.environ.get(*m.groups()), b) for b in bases]
                return bases, node.lineno
            break
    return [], 0
