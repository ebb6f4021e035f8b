from .change import Change
from .index import Index
from .items import Item
from .queries import Hit
from .retriever import Embedded, Retriever

__all__ = ['Change', 'Embedded', 'Hit', 'Index', 'Item', 'Retriever']
