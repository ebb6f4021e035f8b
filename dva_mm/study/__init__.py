"""Matrices of configs and seeds, and the tables and plots of what they gave."""

from dva_mm.lazy import lazy_names

_MODULES = {
    'Row': 'matrix',
    'Run': 'matrix',
    'Study': 'matrix',
    'load_study': 'study_file',
    'append_result': 'results',
    'find_result': 'results',
    'read_results': 'results',
    'compare': 'statistics',
    'markdown': 'tables',
    'spread': 'statistics',
    'draw': 'plots',
    'fill': 'docs',
}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
