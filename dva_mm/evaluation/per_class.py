"""Per-class figures as a file."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .calculator import CLUSTERING


def check_file(path: str | Path, metrics: Sequence[str]) -> None:
    """Check the name of a file of per-class figures, and that there are some to write.

    Args:
        path: File to be written.
        metrics: Names of the metrics.

    Raises:
        ValueError: If the name does not end in '.json', is a folder, or no metric has a figure
            for each class.
    """
    if Path(path).suffix != '.json' or Path(path).is_dir():
        raise ValueError(f"per_class_file must be a file name ending in '.json', got {str(path)!r}")
    if set(metrics) <= set(CLUSTERING):
        raise ValueError(
            f'per_class_file={str(path)!r}: {" and ".join(metrics)} have no figure for each '
            "class, add another metric, e.g. 'recall'"
        )


def write_per_class(
    path: str | Path,
    names: Sequence[str],
    images: Tensor,
    answered: Tensor,
    figures: dict[str, Sequence[float]],
) -> None:
    """Write ``{class: {'images': count, metric: percent}}``, whole or not at all.

    Args:
        path: JSON file; missing folders are made.
        names: Names of the K classes, each another.
        images: (K,) images of each class.
        answered: (K,) whether the class has answerable queries; the others' figures are null.
        figures: For each metric one fraction, 0..1, per answered class, in their order.
    """
    path = Path(path)
    left = {key: iter(values) for key, values in figures.items()}
    table: dict[str, dict] = {}
    for name, count, known in zip(names, images.tolist(), answered.tolist(), strict=True):
        row = {key: 100 * next(values) if known else None for key, values in left.items()}
        table[name] = {'images': count, **row}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        partial.write_text(json.dumps(table, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
