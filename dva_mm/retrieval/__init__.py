from .change import Change
from .hub import push_to_hub
from .index import Index
from .items import IndexBusyError, Item
from .queries import Hit
from .retriever import Embedded, Retriever

__all__ = [
    'Change',
    'Embedded',
    'Hit',
    'Index',
    'IndexBusyError',
    'Item',
    'Retriever',
    'push_to_hub',
]
