"""A web page and an HTTP API that search an index."""

from dva_mm.lazy import lazy_names

_MODULES = {'Catalogue': 'catalogue', 'Limits': 'limits', 'make_app': 'app'}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
