"""A map over the patch grid of a frozen encoder -> one box an image."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from mmpretrain.registry import MODELS
from PIL import Image
from torch import Tensor

from dva_mm.models import FrozenViT

from .detector import Detection


def map_box(
    saliency: np.ndarray, width: int, height: int, keep: float, smooth: bool = True
) -> tuple[tuple[float, float, float, float], float]:
    """The box around the largest region of high values.

    The map is smoothed by a 3 x 3 median, which takes away single hot patches. The fewest cells
    that together hold ``keep`` of its mass stay; of their 4-connected regions the one with the most
    cells wins (of equal ones that with more mass), and the box is drawn around it on the cells'
    edges.

    Args:
        saliency: Map over the patch grid, (h, w), non-negative.
        width: Width in pixels of the image that the grid covers.
        height: Its height.
        keep: Share of the mass, in (0, 1).
        smooth: Take the median first; a map of which it leaves nothing is used as it is.
            Defaults to True.

    Returns:
        The box x1, y1, x2, y2 in pixels, and its score: the region's share of the map's mass.

    Raises:
        ValueError: if ``keep`` is out of range, or the map is all zero, negative or not finite.
    """
    _check_keep(keep)
    mass = saliency.astype(np.float32)
    if not np.isfinite(mass).all() or mass.min() < 0 or mass.max() == 0:
        raise ValueError(
            f'a map needs finite values from 0 on, and not 0 alone; got {mass.min()} to '
            f'{mass.max()}: check the weights of the encoder'
        )
    if smooth and (median := cv2.medianBlur(mass, 3)).any():
        mass = median
    mass = mass / mass.sum(dtype=np.float64)
    falling = np.argsort(-mass, axis=None, kind='stable')
    count = int(np.searchsorted(np.cumsum(mass.ravel()[falling]), keep)) + 1
    kept = np.zeros(mass.size, dtype=np.uint8)
    kept[falling[:count]] = 1
    regions, labels = cv2.connectedComponents(kept.reshape(mass.shape), connectivity=4)
    area = np.bincount(labels.ravel(), minlength=regions)
    held = np.bincount(labels.ravel(), weights=mass.ravel(), minlength=regions)
    best = max(range(1, regions), key=lambda region: (area[region], held[region]))
    rows, columns = np.nonzero(labels == best)
    cell_height, cell_width = height / mass.shape[0], width / mass.shape[1]
    box = (
        float(columns.min() * cell_width),
        float(rows.min() * cell_height),
        float((columns.max() + 1) * cell_width),
        float((rows.max() + 1) * cell_height),
    )
    return box, float(held[best])


class MapDetector:
    """One box an image from a map that a frozen encoder gives.

    An image is resized to the encoder's square, without cropping, so that the patch grid maps
    back to it linearly.

    Args:
        source: Name of the source in the file of boxes.
        encoder: Without adapters.
        data_preprocessor: Config of the retriever's preprocessor, which normalises.
        saliency: (encoder, images (B, 3, H, W)) -> maps (B, h, w), non-negative.
        keep: Share of the map to keep, see :func:`map_box`.
        options: What else decides on the boxes, for the file's header.
        device: Where to compute. Defaults to 'cpu'.

    Raises:
        ValueError: if ``keep`` is out of range.
    """

    def __init__(
        self,
        source: str,
        encoder: FrozenViT,
        data_preprocessor: dict,
        saliency: Callable[[FrozenViT, Tensor], Tensor],
        keep: float,
        options: dict,
        device: str = 'cpu',
    ) -> None:
        _check_keep(keep)
        self.source = source
        self.encoder = encoder.to(device).eval()
        preprocessor = {'type': 'SelfSupDataPreprocessor', **data_preprocessor}
        self.preprocessor = MODELS.build(preprocessor).to(device)
        self.saliency = saliency
        self.keep = keep
        self.prepare = Square(encoder.img_size)
        self.options = dict(
            encoder=encoder.encoder_info(),
            data_preprocessor=dict(data_preprocessor),
            keep=keep,
            **options,
        )

    @torch.inference_mode()
    def detect(
        self, inputs: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        """Boxes in pixels of images of these (width, height)."""
        batch = dict(inputs=torch.stack(list(inputs)), data_samples=None)
        maps = self.saliency(self.encoder, self.preprocessor(batch)['inputs']).cpu().numpy()
        return [
            Detection(*map_box(saliency, width, height, self.keep))
            for saliency, (width, height) in zip(maps, sizes, strict=True)
        ]


class Square:
    """RGB image -> (3, size, size) in blue, green, red, as MMCV's loader gives them."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Tensor:
        resized = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.asarray(resized)[..., ::-1].copy()).permute(2, 0, 1)


def _check_keep(keep: float) -> None:
    if not 0 < keep < 1:
        raise ValueError(f'keep is a share of the map, between 0 and 1, got {keep}')
