"""The packages of the extra ``export``."""

from importlib.util import find_spec


def need(*packages: str) -> None:
    """Check that packages are installed, without importing them.

    Raises:
        ImportError: Names what is missing, and the extra.

    >>> need('no_such_package')
    Traceback (most recent call last):
        ...
    ImportError: no_such_package is not installed: pip install "dva_mm[export]"
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        verb = 'is' if len(missing) == 1 else 'are'
        raise ImportError(
            f'{" and ".join(missing)} {verb} not installed: pip install "dva_mm[export]"'
        )
