"""Models in one file that needs none of this package's model code: ONNX and torch.export."""

from dva_mm.lazy import lazy_names

_MODULES = {'export': 'write', 'load_exported': 'read'}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
