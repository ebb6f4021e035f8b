"""Locations, items and conditions as Milvus writes them."""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .items import IndexBusyError, Item, wanted_values

LITE = 'milvus:'
NAME = 'dva_mm'
"""The collection, where none is named."""
FIELDS = ['id', 'path', 'label', 'size', 'time', 'metadata']


def is_milvus(location: str | Path) -> bool:
    """Whether a location is a Milvus database.

    >>> is_milvus('milvus:photos.db'), is_milvus('photos.index')
    (True, False)
    """
    return str(location).startswith((LITE, 'http://', 'https://'))


def parts(location: str) -> tuple[str, str]:
    """Where the database is, and the collection."""
    place, _, name = str(location).partition('#')
    if place.startswith(LITE):
        place = os.path.abspath(os.path.expanduser(place.removeprefix(LITE)))
    if name and not re.fullmatch(r'[A-Za-z_]\w*', name):
        raise ValueError(f'a collection has letters, digits and underscores, got {name!r}')
    return place, name or NAME


def staging_folder(place: str, name: str) -> Path:
    """Where embeddings wait: beside a database's file, in the current folder for a server's."""
    file = Path(place)
    plain = re.sub(r'\W+', '_', f'{place}_{name}')
    return file.with_name(f'{file.name}.staging') if file.is_absolute() else Path(plain)


def index_options(factory: str | None) -> dict[str, Any]:
    """'HNSW,M=16' -> Milvus's index type and its options."""
    kind, *options = (factory or 'FLAT').split(',')
    pairs = [option.partition('=')[::2] for option in options]
    if not re.fullmatch('[A-Z_0-9]+', kind) or not all(v.isdigit() for _, v in pairs):
        raise ValueError(
            f"factory {factory!r} is no index type of Milvus, such as 'HNSW,M=16' or "
            "'IVF_SQ8,nlist=4096'"
        )
    return dict(index_type=kind, params={name: int(value) for name, value in pairs})


def item_row(item: Item) -> dict[str, Any]:
    row = item._asdict()
    # Milvus holds UTF-8 alone, a path is bytes.
    row['path'] = '' if item.path is None else quote_from_bytes(os.fsencode(item.path), '/ ')
    return row | {name: -1 for name in ('size', 'time') if row[name] is None}


def row_path(quoted: str) -> str | None:
    return os.fsdecode(unquote_to_bytes(quoted)) if quoted else None


def row_item(row: dict[str, Any]) -> Item:
    size, time = (None if row[name] < 0 else row[name] for name in ('size', 'time'))
    return Item(row['id'], row_path(row['path']), row['label'], size, time, row['metadata'])


def expression(where: dict[str, Any] | None) -> str:
    """``where`` as Milvus's expression."""
    clauses = []
    for name, wanted in (where or {}).items():
        values = wanted_values(name, wanted)
        if name == 'path':
            values = [quote_from_bytes(os.fsencode(value), '/ ') for value in values]
        column = name if name in ('path', 'label') else f'metadata["{name}"]'
        equal = [f'{column} == {json.dumps(value, ensure_ascii=False)}' for value in values]
        clauses.append(f'({" or ".join(equal) or "id < 0"})')
    return ' and '.join(clauses)


def connect(location: str) -> Any:
    """A client of a database.

    Raises:
        ImportError: If pymilvus is not installed.
        IndexBusyError: If the database cannot be opened.
    """
    place, _ = parts(location)
    try:
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException
    except ImportError as error:
        raise ImportError(f'{location} needs pymilvus: pip install "dva_mm[milvus]"') from error
    try:
        return MilvusClient(place)
    except (MilvusException, OSError) as error:
        raise IndexBusyError(
            f'{location} cannot be opened ({error}); another process may hold it: Milvus Lite '
            'serves one at a time'
        ) from error


def write_row(client: Any, name: str, state: dict) -> None:
    """Write what the collection was made with."""
    client.upsert(f'{name}_state', [dict(id=0, vector=[1.0, 0.0], state=state)])


def create_collections(client: Any, name: str, state: dict) -> None:
    """Make the collections of items and of what they are made with."""
    from pymilvus import DataType, MilvusClient

    strong = dict(consistency_level='Strong')
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field('id', DataType.INT64, is_primary=True)
    schema.add_field('vector', DataType.FLOAT_VECTOR, dim=state['dims'])
    schema.add_field('path', DataType.VARCHAR, max_length=65535)
    schema.add_field('label', DataType.VARCHAR, max_length=65535, nullable=True)
    schema.add_field('size', DataType.INT64)
    schema.add_field('time', DataType.INT64)
    schema.add_field('metadata', DataType.JSON)
    params = MilvusClient.prepare_index_params()
    params.add_index('vector', metric_type='IP', **index_options(state['factory']))
    client.create_collection(name, schema=schema, index_params=params, **strong)
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field('id', DataType.INT64, is_primary=True)
    schema.add_field('vector', DataType.FLOAT_VECTOR, dim=2)  # Milvus wants one
    schema.add_field('state', DataType.JSON)
    params = MilvusClient.prepare_index_params()
    params.add_index('vector', metric_type='IP', index_type='FLAT')
    client.create_collection(f'{name}_state', schema=schema, index_params=params, **strong)
