"""Search: images to embeddings, and an index of them."""

from dva_mm.lazy import lazy_names

_MODULES = {
    'Change': 'change',
    'Embedded': 'retriever',
    'Hit': 'queries',
    'Index': 'index',
    'IndexBusyError': 'items',
    'Item': 'items',
    'Retriever': 'retriever',
    'push_to_hub': 'hub',
}
__all__ = list(_MODULES)
__getattr__ = lazy_names(__name__, _MODULES)
