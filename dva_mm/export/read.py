"""Open exported files as retrievers."""

import os
from pathlib import Path

import torch
from mmengine.registry import DefaultScope

import dva_mm.datasets  # noqa: F401, registers the transforms
from dva_mm.retrieval.retriever import Retriever
from dva_mm.retrieval.source import absolute_source

from .description import read_pipeline
from .model import ExportedModel
from .onnx_file import read_onnx
from .pt2_file import read_pt2

SUFFIXES = ('.onnx', '.pt2')


def load_exported(
    file: str | Path,
    device: str | torch.device | None = None,
    precision: str = 'fp32',
    compile: bool = False,
    threads: int | None = None,
) -> Retriever:
    """Open an exported file; :meth:`Retriever.load` does so for ``.onnx`` and ``.pt2``.

    Args:
        file: Written by :func:`~dva_mm.export.export`.
        device: 'cpu', 'cuda' or 'cuda:I'. Defaults to None: 'cpu' of an ``.onnx``, of a ``.pt2``
            the GPU where there is one.
        precision: An exported file has it fixed: 'fp32' alone is taken.
        compile: Likewise; False alone is taken.
        threads: Of a forward by ONNX Runtime. Defaults to None: as many as torch has
            (``OMP_NUM_THREADS``).

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If ``onnxruntime`` is missing.
        ValueError: If the file is damaged, changed or another's, or an option does not apply.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'there is no exported model {path}')
    if precision != 'fp32' or compile:
        raise ValueError(
            f'{path} has its precision since the export: precision={precision!r} and '
            f'compile={compile} do not apply; export it with --precision'
        )
    if threads is not None and (path.suffix != '.onnx' or threads < 1):
        raise ValueError(f'threads={threads}: a positive number, and of an .onnx alone')
    if path.suffix == '.onnx':
        device = torch.device(device or 'cpu')
        run, description = read_onnx(path, device, threads)
    else:
        device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        run, description = read_pt2(path, device)
    pipeline = read_pipeline(description['pipeline'], path)
    model = ExportedModel(run, description, os.fspath(path))
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            retriever = Retriever(model, pipeline, device=device, name=path.name)
    except KeyError as error:
        raise ValueError(
            f'{path} needs a transform that is not registered; import its module first: {error}'
        ) from error
    retriever.fingerprint = description['fingerprint']
    retriever.origin = dict(source=absolute_source(path), checkpoint=None, pretrained=None)
    return retriever
