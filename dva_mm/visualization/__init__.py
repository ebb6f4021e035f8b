"""Pages and pictures of what a model retrieves."""

from dva_mm.lazy import lazy_names

_MODULES = {
    'QUERY': 'ranking',
    'RIGHT': 'ranking',
    'WRONG': 'ranking',
    'draw_ranking': 'ranking',
    'rank': 'ranking',
}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
