"""DVAHead: class proxies, the three-view proxy loss and the weighted DPT loss."""

from functools import partial

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from .gather import gather_views
from .sampled_softmax import sample_classes

_BACKGROUNDS = ('proxy', 'class', 'none')


@MODELS.register_module()
class DVAHead(BaseModule):
    """Proxies and the training loss of DVA (https://arxiv.org/abs/2506.16273).

    For the embeddings z, z_d, z_b of the original, discriminative and background view of an image
    of class y, all on the unit sphere, and unit-norm proxies P::

        L_proxy(z, y) = -log softmax(z Pᵀ / τ)[y]
        L = L_proxy(z, y) + L_proxy(z_d, y) + L_proxy(z_b, bg) + β L_DPT

    Each term is a mean over its batch, that of all processes (:func:`gather_views`), in float32
    also under automatic mixed precision. The original view alone has L_proxy(z, y) alone.

    Args:
        num_classes: Number K of training classes.
        in_channels: Width C of the embeddings; DVARetriever fills it in. Defaults to None.
        temperature: τ. Defaults to 0.05.
        background: 'proxy' pulls background views to one extra proxy, 'class' to the proxy of
            their own class, 'none' leaves them out. Defaults to 'proxy'.
        beta: Weight of the DPT loss; 0 turns it off. Defaults to 1.0.
        dpt: Config of :class:`DPTLoss`, the default type; may be None with ``beta=0``.
            Defaults to ``dict(type='DPTLoss')``.
        label_smoothing: Share of the target of L_proxy(z, y) and L_proxy(z_d, y) that is spread
            over all classes (https://arxiv.org/abs/1512.00567). Defaults to 0.0.
        sample_rate: Share of the classes in the softmax of each step: those of the batch and
            random others, see :func:`sample_classes`; an extra proxy is always among them. All
            terms use the same. Of the other proxies the gradient is zero, though Adam's moments
            still move them. For 100,000 classes and more. Defaults to 1.0, all classes.

    Raises:
        ValueError: if an argument is out of range.

    >>> head = DVAHead(num_classes=3, in_channels=4)
    >>> views = [torch.randn(2, 4) for _ in range(3)]
    >>> labels = torch.tensor([0, 2])
    >>> sorted(head.loss(views[0], labels, *views[1:], labels))
    ['loss_background', 'loss_discriminative', 'loss_dpt', 'loss_proxy']
    """

    def __init__(
        self,
        num_classes: int | None,
        in_channels: int | None = None,
        temperature: float = 0.05,
        background: str = 'proxy',
        beta: float = 1.0,
        dpt: dict | None = dict(type='DPTLoss'),
        label_smoothing: float = 0.0,
        sample_rate: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)

        def whole(value: object, least: int) -> bool:
            return isinstance(value, int) and value >= least

        for name, value, good, wanted in (
            ('num_classes', num_classes, whole(num_classes, 2), 'at least 2 (counted by train.py)'),
            ('in_channels', in_channels, whole(in_channels, 1), 'the width of the embeddings'),
            ('temperature', temperature, temperature > 0, 'positive'),
            ('background', background, background in _BACKGROUNDS, f'one of {_BACKGROUNDS}'),
            ('beta', beta, beta >= 0, 'at least 0'),
            ('label_smoothing', label_smoothing, 0 <= label_smoothing < 1, 'in [0, 1)'),
            ('sample_rate', sample_rate, 0 < sample_rate <= 1, 'in (0, 1]'),
            ('dpt', dpt, dpt is not None or beta == 0, f'the config of a DPT loss with {beta=}'),
        ):
            if not good:
                raise ValueError(f'DVAHead {name} must be {wanted}, got {value!r}')
        self.num_classes = num_classes
        self.temperature = temperature
        self.background = background
        self.uses_background = background != 'none'
        self.beta = beta
        self.label_smoothing = label_smoothing
        self.sample_rate = sample_rate
        self.dpt = MODELS.build({'type': 'DPTLoss', **dpt}) if beta > 0 else None
        count = num_classes + (background == 'proxy')
        self.proxies = nn.Parameter(torch.empty(count, in_channels))
        # Unit length on average, so that one learning rate turns proxies of any width alike.
        nn.init.normal_(self.proxies, std=in_channels**-0.5)

    def logits(self, embeddings: Tensor, proxies: Tensor | None = None) -> Tensor:
        """Cosine to proxies over the temperature: unit-norm (B, C) -> (B, S).

        ``proxies`` (S, C) of any length; None (the default) takes all K or K + 1 of the head.
        """
        proxies = self.proxies if proxies is None else proxies
        return embeddings @ F.normalize(proxies.float(), dim=1).T / self.temperature

    def loss(
        self,
        original: Tensor,
        labels: Tensor,
        discriminative: Tensor | None = None,
        background: Tensor | None = None,
        background_labels: Tensor | None = None,
        teacher: Tensor | None = None,
        regions: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The loss terms of one batch.

        Args:
            original: Embeddings z of the original view, (B, C), of any length.
            labels: Classes y, (B,), int64 in [0, K).
            discriminative: Embeddings z_d, (B, C), or None.
            background: Embeddings z_b of the images that have a background, (B', C), or None.
            background_labels: Classes of those images, (B',); used with background='class'.
            teacher: Embeddings (B, C) of the discriminative views by the teacher of DPT; None (the
                default) takes z_d.
            regions: Means of patch tokens (B'', C'), of the objects in original views and of
                discriminative views, for :meth:`DPTLoss.of_patches`; None (the default) leaves
                that term out.

        Returns:
            ``loss_proxy`` and, with the views, ``loss_discriminative``, ``loss_dpt`` (already
            times beta), ``loss_background`` and, of regions, ``loss_dpt_patches``; scalars.

        Raises:
            ValueError: if a label is negative or not below ``num_classes``.
        """
        views, targets = [original], [labels]
        if discriminative is not None:
            views, targets = [*views, discriminative], [*targets, labels]
        if with_background := background is not None and self.uses_background:
            if self.background == 'proxy':
                background_labels = labels.new_zeros(len(background))  # their proxy is known
            views, targets = [*views, background], [*targets, background_labels]
        if teacher is not None:
            views, targets = [*views, teacher], [*targets, labels]
        with torch.autocast(original.device.type, enabled=False):
            unit = [F.normalize(view.float(), dim=1) for view in views]
            unit, targets = gather_views(unit, targets, self.num_classes)
            if teacher is not None:
                teacher = unit.pop()
                targets.pop()
            if with_background and self.background == 'proxy':
                targets[-1] = torch.full_like(targets[-1], self.num_classes)
            proxies, targets = self._sample(targets)
            labels, logits = targets[0], [self.logits(z, proxies) for z in unit]
            proxy_loss = partial(F.cross_entropy, label_smoothing=self.label_smoothing)
            losses = dict(loss_proxy=proxy_loss(logits[0], labels))
            if discriminative is not None:
                losses['loss_discriminative'] = proxy_loss(logits[1], labels)
                if self.beta > 0:
                    z_t, logits_t = unit[1], logits[1]
                    if teacher is not None:
                        z_t, logits_t = teacher, self.logits(teacher, proxies)
                    losses['loss_dpt'] = self.beta * self.dpt(unit[0], z_t, logits[0], logits_t)
            if regions is not None:
                places = [labels.new_zeros(len(region)) for region in regions]  # no labels
                regions, _ = gather_views([region.float() for region in regions], places)
                losses['loss_dpt_patches'] = self.beta * self.dpt.of_patches(*regions)
            if with_background:
                # The mean over no image is NaN; the term is zero instead.
                some = len(logits[-1]) > 0
                losses['loss_background'] = (
                    F.cross_entropy(logits[-1], targets[-1]) if some else logits[-1].sum()
                )
        return losses

    def _sample(self, targets: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The proxies (S, C) of this step's softmax, and the targets as rows of them."""
        if self.sample_rate == 1:
            return self.proxies, targets
        every = torch.cat(targets)
        classes = every[every < self.num_classes]
        sampled = sample_classes(classes, self.num_classes, self.sample_rate)
        extra = torch.arange(self.num_classes, len(self.proxies), device=sampled.device)
        rows = torch.cat([sampled, extra])  # ascending
        proxies = self.proxies.index_select(0, rows)
        return proxies, [torch.searchsorted(rows, target) for target in targets]
