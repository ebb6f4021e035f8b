"""A map over the patch grid of a frozen encoder -> one box an image."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import mmcv
import torch
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS
from torch import Tensor

from dva_mm.datasets.image import read_image
from dva_mm.models import FrozenViT

from .map_box import check_keep, map_box
from .source import Detection


class EncoderMaps:
    """What the sources that look through a frozen encoder share.

    An image is resized to the encoder's input without cropping: the patch grid maps back linearly.

    Args:
        encoder: Config of a FrozenViT; it is built without what would train in it.
        data_preprocessor: Config of the retriever's preprocessor, which normalises.
        saliency: (encoder, images (B, 3, H, W)) -> maps (B, h, w).
        keep: Share of the map to keep, see :func:`~dva_mm.detection.map_box.map_box`.
        img_size: Input of the encoder, larger for a finer grid. Defaults to the config's.
        device: Where to compute. Defaults to 'cpu'.

    Raises:
        ValueError: If ``keep`` is out of range or the encoder is no FrozenViT.

    >>> encoder = dict(type='FrozenViT', arch='test_vit', img_size=32, pretrained=False)
    >>> maps = EncoderMaps(encoder, {}, lambda vit, images: images[:, 0, ::16, ::16], keep=0.7)
    >>> image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    >>> image[0, :16, :16] = 9
    >>> maps.detect([image], [(100, 60)])[0].box
    (0.0, 0.0, 50.0, 30.0)
    """

    def __init__(
        self,
        encoder: dict,
        data_preprocessor: dict | None,
        saliency: Callable[[FrozenViT, Tensor], Tensor],
        keep: float,
        img_size: int | None = None,
        device: str = 'cpu',
    ) -> None:
        check_keep(keep)
        if img_size is not None and not (isinstance(img_size, int) and img_size > 0):
            raise ValueError(f'img_size is a number of pixels, at least 1, got {img_size}')
        if encoder.get('type') != 'FrozenViT':
            raise ValueError(
                f'the source needs a FrozenViT, model.backbone is a {encoder.get("type")}'
            )
        data_preprocessor = dict(data_preprocessor or {})
        size = {} if img_size is None else dict(img_size=img_size)
        self.encoder = MODELS.build({**encoder, 'tuning': None, **size}).to(device).eval()
        preprocessor = {'type': 'SelfSupDataPreprocessor', **data_preprocessor}
        self.preprocessor = MODELS.build(preprocessor).to(device)
        self.saliency, self.keep = saliency, keep
        info = self.encoder.encoder_info()
        self.prepare = partial(_read_resized, size=to_2tuple(info['img_size'])[::-1])
        self.options = dict(encoder=info, data_preprocessor=data_preprocessor, keep=keep)

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


def _read_resized(path: Path, size: tuple[int, int]) -> Tensor:
    """An image of this (width, height), (3, H, W) uint8 in blue, green, red, as in training."""
    image = mmcv.imresize(read_image(path), size, interpolation='bicubic', backend='pillow')
    return torch.from_numpy(image).permute(2, 0, 1)


def to_grid(encoder: FrozenViT, tokens: Tensor) -> Tensor:
    """Of a value a token, (B, N), the patches' over their grid, (B, h, w): they come last.

    >>> vit = FrozenViT('test_vit', img_size=32, pretrained=False)
    >>> to_grid(vit, torch.arange(5)[None]).tolist()
    [[[1, 2], [3, 4]]]
    """
    info = encoder.encoder_info()
    sides = zip(to_2tuple(info['img_size']), to_2tuple(info['patch_size']), strict=True)
    height, width = (side // patch for side, patch in sides)
    return tokens[:, -height * width :].unflatten(1, (height, width))
