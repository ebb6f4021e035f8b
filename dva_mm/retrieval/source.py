"""Where a retriever comes from: the config that a file carries, the weights, their fingerprint."""

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.config import Config

from dva_mm.config import PREFIX, config_path
from dva_mm.engine.publish import load_from_safetensors


def config_of(file: str) -> Config:
    """The config that a checkpoint carries, read as plain values: nothing of it is run.

    Args:
        file: A published ``.safetensors`` or ``.pth``, or a run's checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, carries no config, or one with more than plain values.
    """
    try:
        is_safetensors = file.endswith('.safetensors')
        read = load_from_safetensors if is_safetensors else partial(torch.load, weights_only=True)
        checkpoint = read(file, map_location='cpu')
        text = checkpoint.get('meta', {}).get('cfg')
    except FileNotFoundError as error:
        raise FileNotFoundError(f'the checkpoint {file} does not exist') from error
    except Exception as error:  # readers of damaged files raise nearly anything
        raise ValueError(f'{file} is damaged, or no published file: {error}') from error
    if not text:
        raise ValueError(
            f'{file} carries no config; load it with the config that it was trained with: '
            f'Retriever.load(CONFIG, {file!r})'
        )
    try:
        values = parse_config(text)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f'{file} carries a config that cannot be read: {error}') from error
    if not {'model', 'test_dataloader'} <= values.keys():
        raise ValueError(f'{file} carries a config without model or test_dataloader')
    for name, tensor in checkpoint['state_dict'].items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f'{file} is damaged: {name} has values that are not finite')
    return Config(values)


def parse_config(text: str) -> dict[str, Any]:
    """Values of a config that MMEngine wrote down: literals, ``dict(...)``, ``float('inf')``.

    Raises:
        ValueError: If there is anything else, such as an import or a call.
        SyntaxError: If it is no Python.

    >>> parse_config("a = dict(b=[1, -2.0], c=None)")
    {'a': {'b': [1, -2.0], 'c': None}}
    """
    values = {}
    for line in ast.parse(text).body:
        if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
            raise ValueError(f'line {line.lineno} is no NAME = VALUE')
        values[line.targets[0].id] = _value(line.value)
    return values


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item) for item in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        names = [keyword.arg for keyword in node.keywords]
        if node.func.id == 'dict' and None not in names and len(node.args) <= 1:
            given = _value(node.args[0]) if node.args else {}
            return dict(given, **{keyword.arg: _value(keyword.value) for keyword in node.keywords})
        if node.func.id == 'float' and len(node.args) == 1 and not names:
            return float(ast.literal_eval(node.args[0]))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f'line {node.lineno} has more than plain values') from None


def find_weights(cfg: Config) -> None:
    """Point to this package's copy of shipped weights that a config names by another path."""
    pretrained = cfg.model.backbone.get('pretrained')
    if not isinstance(pretrained, str) or '://' in pretrained or os.path.exists(pretrained):
        return
    _, found, below = pretrained.replace(os.sep, '/').rpartition('/configs/')
    if found:
        try:
            cfg.model.backbone.pretrained = config_path(f'{PREFIX}{below}')
        except FileNotFoundError:
            return


def fingerprint(model: torch.nn.Module, pipeline: Sequence[dict]) -> str:
    """Hash of all that decides on an embedding: tensors, preprocessor, pipeline."""
    digest = hashlib.sha256()
    encoder = getattr(model.backbone, 'encoder_info', dict)()
    frozen = {f'backbone.{n}' for n in getattr(model.backbone, 'base_names', tuple)()}
    digest.update(json.dumps(encoder, sort_keys=True, default=str).encode())
    digest.update(json.dumps(pipeline, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name not in frozen and not name.startswith('head.'):
            digest.update(f'{name} {tuple(tensor.shape)}'.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    for name, tensor in sorted(model.data_preprocessor.named_buffers()):
        digest.update(f'{name} {tensor.flatten().tolist()}'.encode())
    return digest.hexdigest()[:32]


def absolute_source(file: str | os.PathLike | None) -> str | None:
    """A source that is found from any folder.

    >>> absolute_source('dva_mm::dva_demo.py')
    'dva_mm::dva_demo.py'
    """
    file = None if file is None else os.fspath(file)
    return file if file is None or '::' in file or '://' in file else os.path.abspath(file)
