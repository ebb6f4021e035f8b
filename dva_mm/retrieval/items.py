"""The items of an index: path, label, size, time and free metadata, in SQLite.

Every row says in which generation of the index it was added and removed. A reader looks at one
generation, so rows of a change that a kill cut short are never seen; the next writer drops them.
A moved file has two rows of one id: as it was, and as it is.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER NOT NULL,
    path BLOB,
    label TEXT,
    size INTEGER,
    time INTEGER,
    metadata TEXT,
    added INTEGER NOT NULL,
    removed INTEGER,
    PRIMARY KEY (id, added)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_path ON items (path);
CREATE INDEX IF NOT EXISTS items_label ON items (label);
"""
_COLUMNS = 'id, path, label, size, time, metadata'
_ALIVE = 'added <= ? AND (removed IS NULL OR removed > ?)'
_BATCH = 900  # SQLite's least limit of variables is 999


class IndexBusyError(RuntimeError):
    """Another process is writing to an index, or holds its file."""


class Item(NamedTuple):
    """What an index knows of one image."""

    id: int
    """Number of the item, from 0, never used again."""
    path: str | None
    """The image file, absolute; None of an image that was given in memory."""
    label: str | None
    """Its class, where known."""
    size: int | None
    """Bytes of the file."""
    time: int | None
    """Time of its last change, nanoseconds since 1970."""
    metadata: dict[str, Any]
    """Free values, as JSON holds them."""


class Items:
    """The table of items.

    Args:
        file: SQLite file; made if it does not exist and ``writable``.
        writable: Whether it will be changed. Defaults to False.

    Raises:
        ValueError: If the file is damaged or no such table.
    """

    def __init__(self, file: str | Path, writable: bool = False) -> None:
        self.file = Path(file)
        # Readers too may have to roll back what a killed writer began; SQLite itself falls back to
        # reading alone where the file is protected.
        mode = 'rwc' if writable else 'rw'
        uri = f'{self.file.absolute().as_uri()}?mode={mode}'
        try:
            self.connection = sqlite3.connect(
                uri, uri=True, timeout=60, check_same_thread=False, isolation_level='IMMEDIATE'
            )
            if writable:
                self.connection.executescript(_SCHEMA)
            self.connection.execute(f'SELECT {_COLUMNS} FROM items LIMIT 1').fetchall()
        except sqlite3.Error as error:
            raise ValueError(f'{self.file} is no whole table of items: {error}') from error

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def recover(self, generation: int) -> None:
        """Undo what a killed writer left behind ``generation``."""
        with self.connection as connection:
            connection.execute('DELETE FROM items WHERE added > ?', (generation,))
            connection.execute('UPDATE items SET removed = NULL WHERE removed > ?', (generation,))

    def add(self, items: Iterable[Item], generation: int) -> None:
        """Add items, alive from ``generation`` on."""
        rows = (
            (
                item.id,
                None if item.path is None else os.fsencode(item.path),
                item.label,
                item.size,
                item.time,
                json.dumps(item.metadata) if item.metadata else '{}',
                generation,
            )
            for item in items
        )
        with self.connection as connection:
            connection.executemany(
                f'INSERT INTO items ({_COLUMNS}, added) VALUES (?, ?, ?, ?, ?, ?, ?)', rows
            )

    def remove(self, ids: Sequence[int], generation: int) -> None:
        """Mark items as removed from ``generation`` on."""
        with self.connection as connection:
            connection.executemany(
                'UPDATE items SET removed = ? WHERE id = ? AND removed IS NULL',
                ((generation, int(i)) for i in ids),
            )

    def replace(self, items: Sequence[Item], generation: int) -> None:
        """Change items that are there, by id, from ``generation`` on."""
        self.remove([item.id for item in items], generation)
        self.add(items, generation)

    def get(self, ids: Sequence[int], generation: int) -> dict[int, Item]:
        """Items of a generation by id; unknown ids are left out."""
        found = {}
        for start in range(0, len(ids), _BATCH):
            some = [int(i) for i in ids[start : start + _BATCH]]
            marks = ','.join('?' * len(some))
            sql = f'SELECT {_COLUMNS} FROM items WHERE id IN ({marks}) AND {_ALIVE}'
            rows = self.connection.execute(sql, [*some, generation, generation])
            found |= {row[0]: _item(row) for row in rows}
        return found

    def alive(self, generation: int) -> list[Item]:
        """All items of a generation, by id."""
        sql = f'SELECT {_COLUMNS} FROM items WHERE {_ALIVE} ORDER BY id'
        return [_item(row) for row in self.connection.execute(sql, (generation, generation))]

    def files(self, generation: int) -> dict[str, tuple[int, int, int]]:
        """Of each file: id, size and time of its item; far smaller than the items themselves."""
        sql = f'SELECT path, id, size, time FROM items WHERE {_ALIVE} AND path IS NOT NULL'
        rows = self.connection.execute(sql, (generation, generation))
        return {os.fsdecode(path): (i, size, time) for path, i, size, time in rows}

    def labels(self, generation: int) -> dict[int, str | None]:
        """The label of each item, by id, rising."""
        sql = f'SELECT id, label FROM items WHERE {_ALIVE} ORDER BY id'
        return dict(self.connection.execute(sql, (generation, generation)))

    def select(self, where: dict[str, Any], generation: int, limit: int | None = None) -> list[int]:
        """Ids of the items with these values.

        Args:
            where: Value, or list of values, by name: 'label', 'path', or a key of the metadata.
            generation: That is looked at.
            limit: Most ids. Defaults to None: all.

        Raises:
            ValueError: If a key of the metadata is no plain name.
        """
        clauses, values = [_ALIVE], [generation, generation]
        for name, wanted in where.items():
            options = wanted_values(name, wanted)
            if name == 'path':
                options = [os.fsencode(value) for value in options]
            clauses.append(f'{_column(name)} IN ({",".join("?" * len(options))})')
            values += options
        sql = f'SELECT id FROM items WHERE {" AND ".join(clauses)} ORDER BY id LIMIT ?'
        rows = self.connection.execute(sql, [*values, -1 if limit is None else limit])
        return [row[0] for row in rows]

    def values(self, name: str, generation: int) -> list[Any]:
        """The values, each once, of 'label' or a key of the metadata."""
        sql = f'SELECT DISTINCT {_column(name)} FROM items WHERE {_ALIVE}'
        rows = self.connection.execute(sql, (generation, generation))
        return [row[0] for row in rows if row[0] is not None]

    def keys(self, generation: int) -> list[str]:
        """The keys of the metadata, sorted."""
        sql = f'SELECT DISTINCT key FROM items, json_each(metadata) WHERE {_ALIVE}'
        return sorted(row[0] for row in self.connection.execute(sql, (generation, generation)))


def absolute(path: str | bytes | os.PathLike) -> str:
    """A path as the items hold it: absolute, ``~`` and ``..`` resolved, links kept.

    >>> absolute('/photos/../photos/a.jpg')
    '/photos/a.jpg'
    """
    return os.path.abspath(os.path.expanduser(os.fsdecode(path)))


def wanted_values(name: str, wanted: Any) -> list[Any]:
    """The values that ``where`` takes of a name: one, or any of a list.

    Raises:
        ValueError: If the name is no plain one, or a value is None.

    >>> wanted_values('label', 'rose')
    ['rose']
    """
    if not name.replace('_', '').isalnum():
        raise ValueError(
            f"where takes 'label', 'path' or a key of the metadata made of letters, digits and "
            f'underscores, got {name!r}'
        )
    values = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
    if any(value is None for value in values):
        raise ValueError(f'where compares values; {name} cannot be searched for None')
    return [absolute(value) for value in values] if name == 'path' else values


def _column(name: str) -> str:
    return name if name in ('label', 'path') else f"json_extract(metadata, '$.{name}')"


def _item(row: tuple) -> Item:
    number, path, label, size, time, metadata = row
    return Item(
        number,
        None if path is None else os.fsdecode(path),
        label,
        size,
        time,
        json.loads(metadata),
    )
