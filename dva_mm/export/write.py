"""Export: a retriever as one file, ``.onnx`` or ``.pt2``, checked before it appears."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dva_mm.files import check_writable, replace_atomically
from dva_mm.retrieval.retriever import Retriever

from .check import compare, require_agreement
from .description import describe
from .graph import Embedder, quantize, to_onnx, trace
from .model import ExportedModel
from .onnx_file import MAX_BYTES, read_onnx, write_onnx
from .packages import need
from .pt2_file import read_pt2, write_pt2
from .read import SUFFIXES

PRECISIONS = ('fp32', 'fp16', 'int8')


def export(retriever: Retriever, path: str | Path, precision: str = 'fp32') -> dict[str, Any]:
    """Write a model with its test pipeline as one file that :meth:`Retriever.load` opens.

    It takes normalised images (B, 3, H, W) float32, B of any size, and gives embeddings (B, D)
    float32 of length 1. Linear adapters of ICA are merged. The file is opened and compared with
    torch at batches of 1, 2 and 5 before it appears.

    An fp32 or fp16 file has the fingerprint of the model, so an index of the one takes queries of
    the other; an int8 file has one of its own.

    Args:
        retriever: Loaded from a config or a checkpoint.
        path: File to write, ``.onnx`` or ``.pt2`` (of torch.export).
        precision: 'fp32'; 'fp16', weights and activations; or, of ``.onnx``, 'int8', the weights of
            the matrix products. Defaults to 'fp32'.

    Returns:
        The description that the file carries.

    Raises:
        ImportError: If a package of the extra ``export`` is missing.
        ValueError: If the path or precision is unknown, the model is an exported one or cannot be
            traced, the pipeline has no fixed size, or the file disagrees with torch: any value by
            more than 1e-4 of fp32, a cosine below 0.999 of fp16, below 0.9 of int8.

    >>> import tempfile
    >>> model = Retriever.load('dva_mm::dva_demo.py', device='cpu')
    >>> path = Path(tempfile.mkdtemp(), 'demo.pt2')
    >>> export(model, path)['dims']
    128
    >>> Retriever.load(path, device='cpu').fingerprint == model.fingerprint
    True
    """
    path = check_export(path, precision)
    if isinstance(retriever.model, ExportedModel):
        raise ValueError(f'{retriever.name} is an exported model; export the one it was made from')
    weights = sum(t.numel() for t in retriever.model.state_dict().values())
    if path.suffix == '.onnx' and weights * (2 if precision == 'fp16' else 4) > MAX_BYTES:
        raise ValueError(f'{weights:,} weights pass the 2 GB that an .onnx holds; write a .pt2')
    description = describe(retriever) | dict(precision=precision)
    if precision == 'int8':
        own = f'{retriever.fingerprint} int8'.encode()
        description['fingerprint'] = hashlib.sha256(own).hexdigest()[:32]
    reference = Embedder(retriever.model, torch.float32)
    half = precision == 'fp16'
    program = trace(
        Embedder(retriever.model, torch.float16) if half else reference, description['size']
    )
    with TemporaryDirectory() as folder, replace_atomically(path) as partial:
        cpu = torch.device('cpu')
        if path.suffix == '.pt2':
            write_pt2(partial, program, description)
            run, description = read_pt2(partial, cpu)
        else:
            proto = to_onnx(program)
            if precision == 'int8':
                proto = quantize(proto, Path(folder))
            write_onnx(partial, proto, description)
            run, description = read_onnx(partial, cpu)
        found = compare(run, reference, description)
        require_agreement(found, precision)
    return description | found


def check_export(path: str | Path, precision: str) -> Path:
    """Check what :func:`export` is asked for, before any long work; gives the path.

    >>> check_export('model.onnx', 'int4')
    Traceback (most recent call last):
        ...
    ValueError: precision must be one of ('fp32', 'fp16', 'int8'), got 'int4'
    """
    path = Path(path).expanduser()
    if path.suffix not in SUFFIXES:
        raise ValueError(f'export writes {" or ".join(SUFFIXES)}, got {path}')
    if precision not in PRECISIONS:
        raise ValueError(f'precision must be one of {PRECISIONS}, got {precision!r}')
    if path.suffix == '.pt2' and precision == 'int8':
        raise ValueError(f"precision='int8' is of .onnx alone, got {path}")
    if path.suffix == '.onnx':
        need('onnx', 'onnxruntime', 'onnxscript')
    return check_writable(path, 'out')
