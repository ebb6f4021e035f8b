"""Conditions on items that nothing fulfils: what is unknown, and what there is."""

import warnings
from difflib import get_close_matches
from typing import Any

from .items import wanted_values

SHOWN = 8
"""Names that a message lists."""


def check_where(storage: Any, where: dict[str, Any] | None, strict: bool = False) -> None:
    """Say which condition no item fulfils, with the nearest names that there are.

    Args:
        storage: Of the index.
        where: See :meth:`Index.search`.
        strict: Raise for an unknown value too. Defaults to False: a warning, as the answer to it is
            known: nothing.

    Raises:
        ValueError: If ``where`` is no dict, no item has a key at all, or, of ``strict``, none of
            the values asked for.
    """
    if where is not None and not isinstance(where, dict):
        raise ValueError(f"where takes values by name, such as dict(label='rose'), got {where!r}")
    for name, wanted in (where or {}).items():
        asked = wanted_values(name, wanted)
        if not asked or any(storage.select({name: value}, limit=1) for value in asked):
            continue
        known = [] if name == 'path' else storage.values(name)
        if not known and name not in ('label', 'path'):
            raise ValueError(
                f'no image has {name!r} in its metadata{_nearest(name, ["label", *storage.keys()])}'
            )
        values = ' or '.join(repr(value) for value in asked[:SHOWN])
        text = f'no image has {name} {values}'
        if name != 'path':
            text += _nearest(asked[0], known) if known else ': none has a label'
        if strict:
            raise ValueError(text)
        warnings.warn(f'{storage}: {text}', stacklevel=4)  # where Index.search was called


def _nearest(asked: Any, known: list) -> str:
    """What is meant perhaps, or what there is."""
    names = sorted(map(str, known))
    if close := get_close_matches(str(asked), names, SHOWN):
        return f'; did you mean {", ".join(close)}?'
    more = f' and {len(names) - SHOWN:,} more' if len(names) > SHOWN else ''
    return f'; there are {", ".join(names[:SHOWN])}{more}'
