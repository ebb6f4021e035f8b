"""Where a model looks: class activation and attention, as maps over the image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dva_mm.detection.encoder_maps import to_grid
from dva_mm.detection.sources.attention import class_attention

if TYPE_CHECKING:
    from dva_mm.models import DVARetriever


def need_grad_cam() -> type:
    """The class HiResCAM of the library grad-cam.

    Raises:
        ImportError: If it is not installed; names the remedy.
    """
    try:
        from pytorch_grad_cam import HiResCAM
    except ImportError as error:
        raise ImportError(
            f'maps of class activation need grad-cam: pip install "dva_mm[viz]" ({error})'
        ) from error
    return HiResCAM


def activation_maps(model: 'DVARetriever', images: Tensor, targets: Tensor) -> np.ndarray:
    """What in each image makes its embedding like a given vector, by HiResCAM.

    Draelos & Carin 2020 (https://arxiv.org/abs/2011.08891): activation times gradient, token by
    token, where they enter the last block; the gradient is that of the cosine with the target.
    Grad-CAM itself averages the gradient over all tokens first, which blurs a ViT's maps.

    Args:
        model: With a FrozenViT; on the device of the images.
        images: Normalised by the model's preprocessor, (B, 3, H, W).
        targets: (B, D), of any length: a class's proxy, a class's mean embedding, or the
            embedding of another image.

    Returns:
        (B, H, W) float32, each from 0 to 1; all 0 where nothing speaks for the target.

    Raises:
        ImportError: If grad-cam is not installed.
        ValueError: If the encoder is no FrozenViT, or the targets do not fit.
    """
    grad_cam = need_grad_cam()
    encoder = model.backbone
    if not hasattr(encoder, 'blocks') or not hasattr(encoder, 'encoder_info'):
        raise ValueError(f'maps need a FrozenViT as encoder, got {type(encoder).__name__}')
    targets = F.normalize(torch.as_tensor(targets).float(), dim=1).to(images.device)

    def reshape(tokens: Tensor) -> Tensor:
        return torch.stack([to_grid(encoder, each) for each in tokens.unbind(-1)], dim=1)

    def towards(target: Tensor):
        return lambda embedding: (embedding * target).sum()

    block = encoder.blocks[-1]
    layer = block.norm1 if hasattr(block, 'norm1') else block.ln1
    with torch.enable_grad(), grad_cam(model, [layer], reshape) as cam:
        # No weight needs a gradient, so the images must: without one there is no graph.
        return cam(images.clone().requires_grad_(), [towards(target) for target in targets])


def attention_maps(model: 'DVARetriever', images: Tensor, count: int = 3) -> np.ndarray:
    """Attention of the class token to the patches, averaged over the last blocks.

    Args:
        model: With a FrozenViT that has a class token.
        images: Normalised by the model's preprocessor, (B, 3, H, W).
        count: Number of blocks; all of a shorter encoder. Defaults to 3.

    Returns:
        (B, H, W) float32, each from 0 to 1.
    """
    encoder = model.backbone
    blocks = range(-min(count, len(encoder.blocks)), 0)
    with torch.no_grad():
        maps = torch.stack([class_attention(encoder, images, b) for b in blocks]).mean(dim=0)
    maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    maps = maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    large = F.interpolate(maps[:, None], images.shape[2:], mode='bilinear', align_corners=False)
    return large[:, 0].cpu().numpy()


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map over its picture: (H, W, 3) uint8 RGB and (H, W) in 0..1 to (H, W, 3) uint8 RGB.

    >>> overlay(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2))).shape
    (2, 2, 3)
    """
    from matplotlib import colormaps

    colours = 255 * colormaps['turbo'](heat)[..., :3]
    return (0.5 * picture + 0.5 * colours).round().astype(np.uint8)


def share_inside(heat: np.ndarray, box: Sequence[float]) -> float:
    """Share of a map (H, W) that lies in a box x1, y1, x2, y2 of its pixels; NaN of an empty map.

    >>> share_inside(np.ones((4, 4)), (0, 0, 2, 4))
    0.5
    """
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    total = float(heat.sum())
    return float(heat[y1:y2, x1:x2].sum()) / total if total > 0 else float('nan')


def class_means(embeddings: np.ndarray, labels: Sequence[int], rows: Sequence[int]) -> np.ndarray:
    """Mean embedding of each row's class without the row itself; of a lone one, its own.

    Args:
        embeddings: (N, D).
        labels: (N,).
        rows: R of the N.

    Returns:
        (R, D).

    >>> class_means(np.array([[1.0], [2.0], [4.0]]), [0, 0, 0], [0]).tolist()
    [[3.0]]
    """
    labels = np.asarray(labels)
    means = []
    for row in rows:
        others = np.flatnonzero(labels == labels[row])
        others = others[others != row] if len(others) > 1 else others
        means.append(embeddings[others].mean(axis=0))
    return np.stack(means)
