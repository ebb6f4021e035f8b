"""What a source of boxes looks like to the loop over the images."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from PIL import Image


class Detection(NamedTuple):
    """The object of an image."""

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels."""
    score: float
    """Higher is surer."""


class Detector(Protocol):
    """A model that finds at most one box an image."""

    source: str
    """Name of the source in the file of boxes."""
    options: dict
    """What decides on the boxes, as plain JSON values."""
    prepare: Callable[[Image.Image], Any]
    """RGB image -> input; runs in the loader's worker processes."""

    def detect(
        self, inputs: Sequence[Any], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        """Boxes of a batch of images of these (width, height); None where there is no object."""
        ...
