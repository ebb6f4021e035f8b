"""The boxes that the data set itself brings."""

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmpretrain.registry import TASK_UTILS

from dva_mm.datasets.boxes import clip_box
from dva_mm.datasets.record import Record

from ..source import Detection


@TASK_UTILS.register_module()
class AnnotationBoxes:
    """The data set's own boxes, with score 1; an image without a usable one is a fallback.

    Of an image that is listed with several boxes the largest is kept: OPA knows one object.

    Args:
        records: Images of the data set, with their boxes; given by the command.

    >>> boxes = AnnotationBoxes([Record('/data/a.jpg', 0, True, box=(1, 2, 9, 8))])
    >>> boxes.detect([boxes.prepare(Path('/data/a.jpg'))], [(20, 10)])
    [Detection(box=(1, 2, 9, 8), score=1.0)]
    """

    source = 'annotation'

    def __init__(self, records: Sequence[Record]) -> None:
        self.options = {}
        self.boxes = defaultdict(list)
        for record in records:
            if record.box is not None:
                self.boxes[os.path.abspath(os.path.expanduser(record.path))].append(record.box)

    @staticmethod
    def prepare(path: Path) -> str:
        """The path; no pixels are needed."""
        return str(path)

    def detect(
        self, inputs: Sequence[str], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        """Boxes in pixels of images of these (width, height)."""
        found = []
        for path, (width, height) in zip(inputs, sizes, strict=True):
            boxes = [box for box in self.boxes.get(path, ()) if clip_box(box, height, width)]
            best = max(boxes, key=partial(_area, width=width, height=height), default=None)
            found.append(Detection(best, 1.0) if best else None)
        return found


def _area(box: Sequence[float], width: int, height: int) -> float:
    """Of the part inside the image."""
    x1, y1, x2, y2 = box
    return (min(x2, width) - max(x1, 0)) * (min(y2, height) - max(y1, 0))
