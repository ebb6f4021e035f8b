"""Get a data set from its official source and check what is there."""

from dva_mm.lazy import lazy_names

_MODULES = {
    'Knobs': 'plans',
    'Plan': 'plans',
    'Report': 'check',
    'UnsafeArchiveError': 'unpack',
    'check_data': 'check',
    'download_file': 'download',
    'draw_picture': 'pixels',
    'paste': 'pixels',
    'plan_pictures': 'plans',
    'plant': 'planted',
    'prepare_benchmark': 'benchmark',
    'train_command': 'benchmark',
    'unpack_archive': 'unpack',
    'verify': 'download',
}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
