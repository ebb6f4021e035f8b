"""Whitening: embeddings whose directions have equal, or less unequal, variance.

Source: Jégou and Chum, Negative evidences and co-occurrences in image retrieval: the benefit of
PCA and whitening, ECCV 2012. The power between none and all of it is a choice of this project.
"""

import logging

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor


def pca_whitening(covariance: Tensor, power: float = 0.5, floor: float = 1e-6) -> Tensor:
    """The symmetric matrix ``V diag(λ^(-power / 2)) Vᵀ`` of a covariance ``V diag(λ) Vᵀ``.

    Args:
        covariance: (C, C).
        power: 1 makes all variances equal, 0 changes none. Defaults to 0.5, which makes λ to λ^½.
        floor: Share of the largest λ below which each λ counts as this, so that directions without
            variance stay finite. Defaults to 1e-6.

    >>> pca_whitening(torch.diag(torch.tensor([4.0, 1.0])), power=1.0)
    tensor([[0.5000, 0.0000],
            [0.0000, 1.0000]])
    """
    variances, directions = torch.linalg.eigh(covariance)  # (C,), (C, C)
    tiny = torch.finfo(variances.dtype).tiny
    variances = variances.clamp_min(max(floor * variances[-1].item(), tiny))
    return directions * variances.pow(-power / 2) @ directions.T


@MODELS.register_module()
class Whitening(BaseModule):
    """A neck that whitens embeddings for retrieval, fitted on the training images.

    For an embedding x of the encoder, the mean μ and covariance Σ of the training images' unit-norm
    embeddings, and the power p::

        z = Σ^(-p / 2) (x / |x| - μ)

    In training it hands x on, so that losses see the encoder itself; in eval mode it gives z, and
    x / |x| before it is fitted. :class:`~dva_mm.engine.WhiteningHook` fits it at the end of an
    epoch. A checkpoint holds μ and the matrix. The encoder must give (B, C), not feature maps.

    Args:
        in_channels: Width C of the embeddings; DVARetriever fills it in. Defaults to None.
        power: p, from 0, which subtracts the mean alone, to 1, whole whitening. Defaults to 0.5.

    Raises:
        ValueError: if an argument is out of range.

    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> neck = Whitening(in_channels=2).eval()
    >>> neck.fit(z.sum(dim=0), z.T @ z, count=3)
    >>> neck(z).mean(dim=0).abs().max() < 1e-6
    tensor(True)
    """

    def __init__(
        self,
        in_channels: int | None = None,
        power: float = 0.5,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(in_channels, int) or in_channels < 1:
            raise ValueError(
                f'Whitening in_channels must be the width of the embeddings, got {in_channels!r}'
            )
        if not 0 <= power <= 1:
            raise ValueError(f'Whitening power must lie between 0 and 1, got {power!r}')
        self.out_channels, self.power = in_channels, power
        # Parameters that no loss trains: EMAHook exchanges those, and not buffers, to evaluate.
        self.mean = nn.Parameter(torch.zeros(in_channels), requires_grad=False)
        self.matrix = nn.Parameter(torch.eye(in_channels), requires_grad=False)

    @torch.no_grad()
    def fit(self, total: Tensor, products: Tensor, count: int) -> None:
        """Set mean and matrix by moments of unit-norm embeddings z of the training images.

        Args:
            total: Sum of z, (C,).
            products: Sum of z zᵀ, (C, C).
            count: Number of images.

        Raises:
            ValueError: if there are fewer than two images, or a value is not finite.
        """
        if count < 2 or not (total.isfinite().all() and products.isfinite().all()):
            what = f'{count}' if count < 2 else f'{count} of which some embed to NaN or infinity'
            raise ValueError(
                f'Whitening needs at least 2 training images with finite embeddings, got {what}; '
                "train without model.neck=dict(type='Whitening')"
            )
        if count <= self.out_channels:
            print_log(
                f'Whitening is fitted on {count} images, and embeddings have {self.out_channels} '
                'values: directions that few images show are blown up. Take more images or a '
                'lower power',
                logger='current',
                level=logging.WARNING,
            )
        mean = total.double().cpu() / count
        covariance = products.double().cpu() / count - torch.outer(mean, mean)
        self.mean.copy_(mean)
        self.matrix.copy_(pca_whitening(covariance, self.power))

    def forward(self, features: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Embeddings (B, C), or the encoder's output tuple that ends in them -> (B, C)."""
        x = features[-1] if isinstance(features, list | tuple) else features
        if self.training:
            return x
        # In float32 also in a model of half precision; the matrix is symmetric.
        return (F.normalize(x.float(), dim=1) - self.mean.float()) @ self.matrix.float()
