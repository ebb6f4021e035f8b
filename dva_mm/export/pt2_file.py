"""Files of torch.export, with a description among their extra files."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .description import KEY, check_description

EXTRA = f'{KEY}.json'


def write_pt2(path: Path, program: ExportedProgram, description: dict[str, Any]) -> None:
    """Write a program and its description."""
    torch.export.save(program, path, extra_files={EXTRA: json.dumps(description)})


def read_pt2(path: Path, device: torch.device) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Open a file of :func:`write_pt2`. Take such files from people you trust alone.

    Returns:
        Images (B, 3, H, W) float32 -> embeddings (B, D), and the description.

    Raises:
        ValueError: If the file is damaged, or has no description.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            ours = any(name.endswith(f'extra/{EXTRA}') for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ValueError(f'{path} is damaged, or no file of torch.export: {error}') from error
    if damaged:
        raise ValueError(f'{path} is damaged: {damaged}')
    if not ours:
        raise ValueError(
            f'{path} has no description of dva_mm (pipeline, normalisation): it was not written by '
            'dva-mm export'
        )
    extra = {EXTRA: ''}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # of another torch, of a changed file
        raise ValueError(f'{path} cannot be read by torch {torch.__version__}: {error}') from error
    text = extra[EXTRA]
    description = check_description(text if isinstance(text, str) else text.decode(), path)
    if device.type != 'cpu':
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program.module(), description
