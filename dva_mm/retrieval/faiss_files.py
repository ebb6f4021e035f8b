"""The files of vectors: read, and found whole or damaged."""

from pathlib import Path
from typing import Any

import numpy as np

from dva_mm.evaluation.knn import faiss


def keeps_ids(index: Any) -> bool:
    """Whether an index holds ids of its own, as IVF does, also behind a transform."""
    if isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return isinstance(index, faiss.IndexIVF)


def read_vectors(file: Path, dims: int, mmap: bool) -> Any:
    """Read, or map, a faiss index of ``dims`` values that keeps ids.

    Raises:
        ValueError: If the file is missing, damaged, or of other vectors.
    """
    flags = faiss.IO_FLAG_MMAP_IFC if mmap else 0
    try:
        index = faiss.read_index(str(file), flags)
    except RuntimeError as error:
        raise ValueError(
            f'{file} is no whole faiss file: {str(error).splitlines()[-1]}; restore it, or build '
            'the index again'
        ) from error
    if index.d != dims or not (isinstance(index, faiss.IndexIDMap2) or keeps_ids(index)):
        raise ValueError(f'{file} holds vectors of {index.d} values, the index has {dims}')
    return index


def has_unit_rows(rows: np.ndarray) -> bool:
    """Whether all vectors (B, D) have length 1, or 0 as a dead model's."""
    with np.errstate(over='ignore', invalid='ignore'):
        lengths = np.einsum('bd,bd->b', rows, rows)  # b: vectors, d: their values
    return bool(((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all())
