from .change import Change
from .index import Index
from .items import IndexBusyError, Item
from .queries import Hit
from .retriever import Embedded, Retriever

__all__ = ['Change', 'Embedded', 'Hit', 'Index', 'IndexBusyError', 'Item', 'Retriever']
