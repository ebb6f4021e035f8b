"""What an index was made with; the small JSON file that names the newest generation."""

import json
from pathlib import Path
from typing import Any

from dva_mm import __version__
from dva_mm.files import replace_atomically

from .retriever import Retriever

FORMAT, VERSION, STATE = 'dva_mm index', 3, 'index.json'


def new_state(retriever: Retriever, factory: str | None, flip: bool, labels: Any) -> dict[str, Any]:
    """What an empty index is made with."""
    return dict(
        format=FORMAT,
        version=VERSION,
        created_by=f'dva_mm {__version__}',
        dims=retriever.dims,
        factory=factory,
        flip=flip,
        labels='folder' if labels == 'folder' else None,
        fingerprint=retriever.fingerprint,
        model=retriever.origin,
        generation=0,
        count=0,
        next_id=0,
    )


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Replace the file as a whole."""
    with replace_atomically(folder / STATE) as partial:
        partial.write_text(json.dumps(state, indent=1) + '\n')


def read_state(folder: Path) -> dict[str, Any]:
    """What the file says.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If the file is damaged, or of another version.
    """
    file = folder / STATE
    if not file.is_file():
        raise FileNotFoundError(f'{folder} is no index: it has no {STATE}; build one there first')
    try:
        state = json.loads(file.read_text())
        known = state['format'] == FORMAT
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise ValueError(f'{file} is damaged, or of no index of dva_mm')
    if state['version'] != VERSION:
        raise ValueError(
            f'{file} has version {state["version"]} of the format, this dva_mm reads {VERSION}; '
            'build the index again'
        )
    return state
