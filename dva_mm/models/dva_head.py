"""DVAHead: class proxies, the three-view proxy loss and the weighted DPT loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from .gather import gather_rows


@MODELS.register_module()
class DVAHead(BaseModule):
    r"""Proxies and the training loss of DVA (https://arxiv.org/abs/2506.16273).

    For the embeddings :math:`z, z_d, z_b` of the original, discriminative and background view of
    an image of class y, all on the unit sphere, and unit-norm proxies P:

    .. math::
        L_{proxy}(z, y) &= -\log softmax(z P^T / \tau)[y] \\
        L &= L_{proxy}(z, y) + L_{proxy}(z_d, y) + L_{proxy}(z_b, bg) + \beta L_{DPT}

    The terms are averaged over their batch and reported one by one. Without views other than the
    original, :math:`L_{proxy}(z, y)` alone is left. Everything here runs in float32, also under
    automatic mixed precision. Several processes compute the loss of their joint batch, see
    :func:`~dva_mm.models.gather.gather_rows`.

    Args:
        num_classes: Number K of training classes.
        in_channels: Width C of the embeddings; DVARetriever fills it in. Defaults to None.
        temperature: :math:`\tau`. Defaults to 0.05.
        background: 'proxy' pulls background views to one extra proxy, 'class' to the proxy of
            their own class, 'none' leaves them out. Defaults to 'proxy'.
        beta: Weight of the DPT loss; 0 turns it off. Defaults to 1.0.
        dpt: Config of :class:`DPTLoss`. Defaults to ``dict(type='DPTLoss')``.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int | None,
        in_channels: int | None = None,
        temperature: float = 0.05,
        background: str = 'proxy',
        beta: float = 1.0,
        dpt: dict = dict(type='DPTLoss'),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(num_classes, int) or num_classes < 2:
            raise ValueError(
                f'DVAHead num_classes must be at least 2, got {num_classes!r}; tools/train.py '
                'fills in None from the training set'
            )
        if not isinstance(in_channels, int) or in_channels < 1:
            raise ValueError(f'DVAHead in_channels must be positive, got {in_channels!r}')
        if temperature <= 0:
            raise ValueError(f'DVAHead temperature must be positive, got {temperature}')
        if background not in ('proxy', 'class', 'none'):
            raise ValueError(
                f"DVAHead background must be 'proxy', 'class' or 'none', got {background!r}"
            )
        if beta < 0:
            raise ValueError(f'DVAHead beta must not be negative, got {beta}')
        self.num_classes = num_classes
        self.temperature = temperature
        self.background = background
        self.beta = beta
        self.dpt = MODELS.build(dpt)
        count = num_classes + (background == 'proxy')
        self.proxies = nn.Parameter(torch.empty(count, in_channels))
        # Unit length on average, so that one learning rate turns proxies of any width alike.
        nn.init.normal_(self.proxies, std=in_channels**-0.5)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Cosine to every proxy over the temperature: unit-norm (B, C) -> (B, K) or (B, K + 1)."""
        return embeddings @ F.normalize(self.proxies.float(), dim=1).T / self.temperature

    def loss(
        self,
        original: Tensor,
        labels: Tensor,
        discriminative: Tensor | None = None,
        background: Tensor | None = None,
        background_labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss terms of one batch.

        Args:
            original: Embeddings z of the original view, (B, C), of any length.
            labels: Classes y, (B,), int64 in [0, K).
            discriminative: Embeddings z_d, (B, C), or None.
            background: Embeddings z_b of the images that have a background, (B', C), or None.
            background_labels: Classes of those images, (B',); used with background='class'.

        Returns:
            ``loss_proxy`` and, with the views, ``loss_discriminative``, ``loss_dpt`` (already
            times beta) and ``loss_background``; scalars.

        Raises:
            ValueError: if a label is not below ``num_classes``.
        """
        if labels.max() >= self.num_classes:
            raise ValueError(
                f'DVAHead was built for {self.num_classes} classes but met label '
                f"{int(labels.max())}; set model.head.num_classes to the training set's number"
            )
        with torch.autocast(original.device.type, enabled=False):
            labels = gather_rows(labels)
            z = self._unit_rows(original)
            logits = self.logits(z)
            losses = dict(loss_proxy=F.cross_entropy(logits, labels))
            if discriminative is not None:
                z_d = self._unit_rows(discriminative)
                logits_d = self.logits(z_d)
                losses['loss_discriminative'] = F.cross_entropy(logits_d, labels)
                if self.beta > 0:
                    losses['loss_dpt'] = self.beta * self.dpt(z, z_d, logits, logits_d)
            if background is not None and self.background != 'none':
                losses['loss_background'] = self._background_loss(background, background_labels)
        return losses

    def _background_loss(self, background: Tensor, labels: Tensor | None) -> Tensor:
        logits = self.logits(self._unit_rows(background))
        if self.background == 'proxy':
            labels = torch.full((len(logits),), self.num_classes, device=logits.device)
        else:
            labels = gather_rows(labels)
        if len(logits) == 0:  # the mean over no image is NaN; the term is zero instead
            return logits.sum()
        return F.cross_entropy(logits, labels)

    @staticmethod
    def _unit_rows(embeddings: Tensor) -> Tensor:
        return gather_rows(F.normalize(embeddings.float(), dim=1))
