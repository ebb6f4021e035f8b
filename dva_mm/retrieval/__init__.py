from .index import Hit, Index
from .items import Item
from .retriever import Embedded, Retriever
from .writer import Change

__all__ = ['Change', 'Embedded', 'Hit', 'Index', 'Item', 'Retriever']
