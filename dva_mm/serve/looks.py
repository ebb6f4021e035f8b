"""Where the model looked: what in two pictures makes them alike for it."""

from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from dva_mm.retrieval import Retriever
from dva_mm.retrieval.images import to_bgr
from dva_mm.visualization.looks import to_rgb
from dva_mm.visualization.maps import activation_maps, need_grad_cam, overlay


def why_no_looks(retriever: Any) -> str | None:
    """Why there are no maps of a model, in a line; None where there are.

    >>> why_no_looks(object())
    'maps need a FrozenViT of torch'
    """
    if not hasattr(getattr(getattr(retriever, 'model', None), 'backbone', None), 'encoder_info'):
        return 'maps need a FrozenViT of torch'
    try:
        need_grad_cam()
    except ImportError:
        return 'maps need grad-cam: pip install "dva_mm[demo]"'
    return None


def model_input(retriever: Retriever, image: np.ndarray) -> Tensor:
    """What the test pipeline makes of a picture.

    Args:
        retriever: Whose pipeline it is.
        image: (H, W, 3) uint8 RGB.

    Returns:
        (3, h, w) uint8 BGR.
    """
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        transforms = Compose([TRANSFORMS.build(dict(t)) for t in retriever.pipeline[1:]])
    pixels, shape = to_bgr(image), image.shape[:2]
    results = dict(img=pixels, img_shape=shape, ori_shape=shape, img_path=None, sample_idx=0)
    return transforms(results)['inputs']


def look_at(
    retriever: Retriever, query: np.ndarray, hit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Map of class activation of each of two pictures towards the other one's embedding.

    Args:
        retriever: With a FrozenViT.
        query, hit: Pictures, (H, W, 3) uint8 RGB.

    Returns:
        The pictures as the model sees them with their maps over them, each (h, w, 3) uint8 RGB.

    Raises:
        ImportError: If grad-cam is not installed.
    """
    pixels = torch.stack([model_input(retriever, query), model_input(retriever, hit)])
    vectors = retriever.encode([query, hit], workers=0, progress=False)  # (2, D)
    inputs = dict(inputs=pixels.to(retriever.device), data_samples=None)
    views = retriever.model.data_preprocessor(inputs)['inputs']
    maps = activation_maps(retriever.model, views, torch.from_numpy(vectors[::-1].copy()))
    first, second = (overlay(to_rgb(p), m) for p, m in zip(pixels, maps, strict=True))
    return first, second
