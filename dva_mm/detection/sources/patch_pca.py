"""What sets the patches of an image apart from one another: their first principal component."""

import torch
from mmpretrain.registry import TASK_UTILS
from torch import Tensor

from dva_mm.models import FrozenViT

from ..encoder_maps import EncoderMaps, to_grid


@TASK_UTILS.register_module()
class PatchPCA:
    """The box around the patches on the object's side of their first principal component.

    Args:
        encoder: Config of a FrozenViT; the command gives the model's.
        data_preprocessor: Config of the preprocessor, which normalises; given as well.
        keep: Share of the map to keep. Defaults to 0.95.
        img_size: Input of the encoder in pixels, larger for a finer grid. Defaults to None: the
            config's.
        device: Where to compute. Defaults to 'cpu'.

    Raises:
        ValueError: If an option is out of range.

    >>> encoder = dict(type='FrozenViT', arch='test_vit', img_size=32, pretrained=False)
    >>> PatchPCA(encoder, {}, keep=0.9).options['keep']
    0.9
    """

    source = 'patch-pca'

    def __init__(
        self,
        encoder: dict,
        data_preprocessor: dict | None,
        keep: float = 0.95,
        img_size: int | None = None,
        device: str = 'cpu',
    ) -> None:
        maps = EncoderMaps(encoder, data_preprocessor, patch_pca, keep, img_size, device)
        self.options, self.prepare, self.detect = maps.options, maps.prepare, maps.detect


def patch_pca(encoder: FrozenViT, images: Tensor) -> Tensor:
    """The first principal component of each image's patches, positive on the object.

    The features are the values (V) of the last block's attention. Of the component's two signs
    the object's is the one that a smaller share of the border's patches has than of the patches
    inside; if the shares are equal, the one whose sum over the border is negative. Wei et al. 2017
    (https://arxiv.org/abs/1707.06397) find objects so in a CNN's descriptors, over a set of images;
    here it is done image by image. Of ``images`` (B, 3, H, W), normalised and of the encoder's
    size, it is (B, h, w) over the patch grid, and 0 on the background.

    >>> vit = FrozenViT('test_vit', img_size=32, pretrained=False)
    >>> patch_pca(vit, torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 2, 2])
    """
    found: list[Tensor] = []
    qkv = encoder.blocks[-1].attn.qkv
    handle = qkv.register_forward_hook(lambda module, args, output: found.append(output))
    try:
        encoder(images)
    finally:
        handle.remove()
    _, _, values = found[0].float().chunk(3, dim=-1)  # (B, N, D)
    batch, tokens, width = values.shape
    features = to_grid(encoder, values.transpose(1, 2).reshape(batch * width, tokens))
    features = features.reshape(batch, width, *features.shape[1:]).permute(0, 2, 3, 1)
    return first_component(features)


def first_component(features: Tensor) -> Tensor:
    """The first principal component of (B, h, w, D) features, signed and cut at 0 as above.

    >>> features = torch.zeros(1, 3, 3, 2)
    >>> features[0, 1, 1] = torch.tensor([-3.0, 4.0])
    >>> (first_component(features) > 0).int().tolist()
    [[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]
    """
    batch, height, width, _ = features.shape
    flat = features.flatten(1, 2)  # (B, P, D)
    flat = flat - flat.mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(flat @ flat.transpose(1, 2))  # ascending
    component = vectors[..., -1] * values[:, -1:].clamp(min=0).sqrt()  # (B, P)
    border = torch.ones(height, width, dtype=torch.bool, device=features.device)
    border[1:-1, 1:-1] = False
    border = border.flatten()
    positive = (component > 0).double()
    outside, inside = positive[:, border].mean(dim=1), positive[:, ~border].mean(dim=1)
    tie = (outside - inside).abs() < 1e-9
    flipped = torch.where(tie, component[:, border].sum(dim=1) > 0, outside > inside)
    sign = torch.where(flipped, -1, 1)[:, None]
    return (sign * component).clamp(min=0).reshape(batch, height, width)
