"""The middle of each image: what any other source of boxes has to beat."""

from collections.abc import Sequence
from pathlib import Path

from mmpretrain.registry import TASK_UTILS

from dva_mm.datasets.boxes import CenterBox, scale_box

from ..source import Detection


@TASK_UTILS.register_module()
class CenterBoxes:
    """A box of the same share of each side, about the image's centre, with score 1.

    Args:
        share: Side of the box as a share of the image's side, in (0, 1). Defaults to 0.7.

    Raises:
        ValueError: If ``share`` is out of range.

    >>> CenterBoxes(share=0.5).detect([None], [(40, 20)])
    [Detection(box=(10.0, 5.0, 30.0, 15.0), score=1.0)]
    """

    source = 'center'

    def __init__(self, share: float = 0.7) -> None:
        self.options = dict(share=CenterBox(share).share)

    @staticmethod
    def prepare(path: Path) -> None:
        """No pixels are needed."""

    def detect(self, inputs: Sequence[None], sizes: Sequence[tuple[int, int]]) -> list[Detection]:
        """Boxes in pixels of images of these (width, height)."""
        share = self.options['share']
        return [Detection(scale_box((0, 0, *size), share), 1.0) for size in sizes]
