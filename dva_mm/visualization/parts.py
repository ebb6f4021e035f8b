"""What a page is made of."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Shown(NamedTuple):
    """An image of a page."""

    image: Any
    """A path, PIL image or array (H, W, 3) RGB uint8; None if there is none."""
    name: str
    """Its name, by '/': the last part is shown, all of it is searched."""
    label: str | None = None
    """Its class; None if that is unknown."""


class Answers(NamedTuple):
    """What one model finds for Q queries."""

    name: str
    """Of the model, such as 'frozen'."""
    hits: Sequence[Sequence[int]]
    """Places of the images found by each query, nearest first; as many as shall be shown."""
    scores: Sequence[Sequence[float]]
    """Their similarities."""
    first: Sequence[int | None] | None = None
    """Rank, from 1, of each query's first right answer in the whole gallery; None where there is
    none to find. Defaults to None: where labels are known, the first among ``hits``, and one more
    than their number where it is not among them."""


class Section(NamedTuple):
    """A part of a page."""

    kind: str
    """'ranking', 'map' or 'pictures'."""
    title: str
    text: str
    data: dict[str, Any]
