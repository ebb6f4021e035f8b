"""Names of a package that load their module when they are first asked for (PEP 562)."""

from collections.abc import Callable
from importlib import import_module


def lazy_names(package: str, modules: dict[str, str]) -> Callable[[str], object]:
    """Make a package's ``__getattr__``, so that its commands answer before torch is imported.

    Args:
        package: ``__name__`` of the package.
        modules: Module of the package by the name that it defines.

    >>> lazy_names('dva_mm', {'load_config': 'config'})('load_config').__name__
    'load_config'
    """

    def get(name: str) -> object:
        if name in modules:
            return getattr(import_module(f'{package}.{modules[name]}'), name)
        raise AttributeError(f'module {package!r} has no attribute {name!r}')

    return get
