"""One module a data set: its reader, its published counts and its source."""

import importlib
import pkgutil

from ..record import Benchmark


def _collect() -> dict[str, Benchmark]:
    """Each Benchmark of this package's modules, by its own name or else its module's."""
    found: dict[str, Benchmark] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f'{__name__}.{module.name}')).values():
            if isinstance(value, Benchmark):
                name = value.name or module.name
                if name in found:
                    raise ValueError(f'{module.name}.py defines a second data set {name!r}')
                found[name] = value._replace(name=name)
    return found


BENCHMARKS: dict[str, Benchmark] = _collect()
"""Data set by the name that FineGrainedDataset's ``reader`` and tools/prepare_data.py take."""

__all__ = ['BENCHMARKS', 'Benchmark']
