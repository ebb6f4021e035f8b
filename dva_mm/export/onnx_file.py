"""ONNX files with a description, in ``metadata_props``, and a digest of all of it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .description import KEY, check_description
from .packages import need

if TYPE_CHECKING:
    from onnx import ModelProto

MAX_BYTES = 2**31 - 1
"""Of a protobuf message."""
_MARGIN = 64  # bytes that protobuf puts around the description


def write_onnx(path: Path, proto: 'ModelProto', description: dict[str, Any]) -> None:
    """Write a model; its description follows the graph, as protobuf allows, and covers it."""
    from onnx import ModelProto, StringStringEntryProto

    body = proto.SerializeToString()
    sealed = dict(description, graph_bytes=len(body))
    sealed['digest'] = _digest(body, sealed)
    entry = StringStringEntryProto(key=KEY, value=json.dumps(sealed))
    path.write_bytes(body + ModelProto(metadata_props=[entry]).SerializeToString())


def read_onnx(
    path: Path, device: torch.device, threads: int | None = None
) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """Open a file with ONNX Runtime.

    Args:
        path: A file of :func:`write_onnx`.
        device: CPU, or CUDA with ``onnxruntime-gpu``.
        threads: Of one forward. Defaults to None: as many as torch has (``OMP_NUM_THREADS``).

    Returns:
        Images (B, 3, H, W) float32 -> embeddings (B, D), and the description.

    Raises:
        ImportError: If ``onnxruntime`` is missing.
        ValueError: If the file is damaged, was changed after the export, or is another's, or if
            ONNX Runtime cannot run it on the device.
    """
    need('onnxruntime')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors, which are raised as well
    content = path.read_bytes()
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=_providers(device, onnxruntime.get_available_providers())
        )
    except ValueError:
        raise
    except Exception as error:  # of its own C++, of protobuf
        raise ValueError(f'{path} is damaged, or no ONNX file: {error}') from error
    _check_provider(session.get_providers(), device)
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise ValueError(
            f'{path} has no description of dva_mm (pipeline, normalisation): it was not written by '
            'dva-mm export'
        )
    description = check_description(text, path)
    _check_digest(content, text, description, path)

    def run(images: Tensor) -> Tensor:
        (embeddings,) = session.run(['embeddings'], {'images': np.asarray(images.float().cpu())})
        return torch.from_numpy(embeddings).to(images.device)

    return run, description


def _providers(device: torch.device, available: list[str]) -> list[Any]:
    if device.type == 'cpu':
        return ['CPUExecutionProvider']
    if device.type != 'cuda' or 'CUDAExecutionProvider' not in available:
        raise ValueError(
            f"device={str(device)!r}: this ONNX Runtime runs on {available}; take device='cpu', or "
            'for a GPU install onnxruntime-gpu in place of onnxruntime'
        )
    # TF32 would round what it multiplies to 10 bits.
    cuda = dict(device_id=device.index or 0, use_tf32=0)
    return [('CUDAExecutionProvider', cuda), 'CPUExecutionProvider']


def _check_provider(providers: list[str], device: torch.device) -> None:
    if device.type == 'cuda' and 'CUDAExecutionProvider' not in providers:
        raise ValueError(
            f'device={str(device)!r}: ONNX Runtime could not start its CUDAExecutionProvider and '
            f'took {providers}. onnxruntime and onnxruntime-gpu share a folder, so have one alone: '
            'pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu, for the '
            f"CUDA that it was built for (torch has {torch.version.cuda}); or take device='cpu'"
        )


def _digest(body: bytes, description: dict[str, Any]) -> str:
    return hashlib.sha256(body + json.dumps(description, sort_keys=True).encode()).hexdigest()


def _check_digest(content: bytes, text: str, description: dict[str, Any], path: Path) -> None:
    unsealed = {name: value for name, value in description.items() if name != 'digest'}
    size = description.get('graph_bytes')
    whole = isinstance(size, int) and 0 < size < len(content)
    whole = whole and len(content) - size - len(text.encode()) <= _MARGIN
    if not whole or _digest(content[:size], unsealed) != description.get('digest'):
        raise ValueError(f'{path} was changed after the export, or is damaged; export it again')
