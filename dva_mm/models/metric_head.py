"""MetricLearningHead: any loss and miner of pytorch-metric-learning on the same embeddings."""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from pytorch_metric_learning.losses import (
    BaseMetricLossFunction,
    CrossBatchMemory,
    MultipleLosses,
    SmoothAPLoss,
)
from pytorch_metric_learning.miners import BaseMiner
from torch import Tensor

from .gather import gather_views
from .pml_builder import build_pml


@MODELS.register_module()
class MetricLearningHead(BaseModule):
    """A baseline: a loss of pytorch-metric-learning (PML) in place of DVA's.

    The loss gets the embeddings as the encoder or neck gives them, in float32, also under
    automatic mixed precision; PML's distances normalise them unless told otherwise. Pairs form
    across processes, see :func:`~dva_mm.models.gather.gather_views`.

    Parameters of the loss (proxies, centres) train with the rest; ``paramwise_cfg=dict(
    custom_keys={'head.loss': dict(lr_mult=100)})`` gives them a learning rate of their own. They,
    and the queue of a CrossBatchMemory, are saved and resumed.

    Args:
        loss: Config of a PML loss, e.g. ``dict(type='ProxyAnchorLoss', margin=0.1)``; see
            :func:`~dva_mm.models.pml_builder.build_pml`.
        miner: Config of a PML miner, e.g. ``dict(type='MultiSimilarityMiner')``. Defaults to None.
        num_classes: Number of training classes; tools/train.py counts them. Defaults to None.
        in_channels: Width of the embeddings; DVARetriever fills it in. Defaults to None.

    Raises:
        ValueError: if PML lacks a name or refuses its options.

    >>> head = MetricLearningHead(dict(type='SupConLoss'))
    >>> list(head.loss(torch.randn(4, 8), torch.tensor([0, 0, 1, 1])))
    ['loss_metric']
    """

    #: DVARetriever leaves background views out of the forward; no PML loss knows them.
    uses_background: bool = False

    def __init__(
        self,
        loss: dict,
        miner: dict | None = None,
        num_classes: int | None = None,
        in_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # P2SGradLoss calls the width descriptors_dim.
        widths = dict.fromkeys(('embedding_size', 'descriptors_dim'), in_channels)
        sizes = dict(num_classes=num_classes, **widths)
        known = {name: size for name, size in sizes.items() if size is not None}
        self.num_classes = num_classes
        self.loss_function = build_pml(loss, known)
        self.miner = None if miner is None else build_pml(miner, known)
        kinds = BaseMetricLossFunction | CrossBatchMemory | MultipleLosses
        if not isinstance(self.loss_function, kinds):
            raise ValueError(f'MetricLearningHead loss must be a loss, got {loss}')
        if self.miner is not None and not isinstance(self.miner, BaseMiner):
            raise ValueError(f'MetricLearningHead miner must be a miner, got {miner}')
        self._memories = [m for m in self.modules() if isinstance(m, CrossBatchMemory)]
        if self._memories and (self.miner is not None or 'miners' in loss):
            # PML would read the miner's indices into the batch as indices into the queue.
            raise ValueError(
                'a CrossBatchMemory mines its own queue: give it the miner, '
                "loss=dict(type='CrossBatchMemory', loss=..., miner=...), and none to the head or "
                'to MultipleLosses'
            )
        if self._memories:
            # PML keeps the place in a queue, and whether it is full, in no state dict.
            self.register_buffer('queues', torch.zeros(len(self._memories), 2, dtype=torch.int64))
        self._smooth_ap = any(isinstance(m, SmoothAPLoss) for m in self.modules())

    def loss(
        self,
        original: Tensor,
        labels: Tensor,
        discriminative: Tensor | None = None,
        background: Tensor | None = None,
        background_labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss of one batch; arguments as of :meth:`DVAHead.loss`.

        Discriminative views join the batch as further images of their classes; background views
        are not used.

        Returns:
            ``loss_metric`` and, with a miner, ``mined``, the number of pairs or triplets it found.

        Raises:
            ValueError: if a label is no class, or the batch does not suit the loss.
        """
        views = [original] if discriminative is None else [original, discriminative]
        with torch.autocast(original.device.type, enabled=False):
            views = [view.float() for view in views]
            views, targets = gather_views(views, [labels] * len(views), self.num_classes)
            embeddings, labels = torch.cat(views), torch.cat(targets)
            if self._smooth_ap:
                embeddings, labels = _sorted_by_class(embeddings, labels)
            for number, memory in enumerate(self._memories):
                if len(embeddings) > memory.memory_size:
                    raise ValueError(
                        f'CrossBatchMemory of memory_size {memory.memory_size} cannot take a batch '
                        f'of {len(embeddings)} (all processes and views); raise memory_size'
                    )
                memory.queue_idx, filled = self.queues[number].tolist()
                memory.has_been_filled = bool(filled)
            mined = None if self.miner is None else self.miner(embeddings, labels)
            value = self.loss_function(embeddings, labels, mined)
            # A batch without pairs may leave a parameter out, which DDP refuses.
            value = value + 0 * sum(p.sum() for p in self.loss_function.parameters())
            losses = dict(loss_metric=value)
            if mined is not None:
                # Triplets (a, p, n), or positive and negative pairs (a1, p, a2, n).
                found = len(mined[0]) + (len(mined[2]) if len(mined) == 4 else 0)
                losses['mined'] = embeddings.new_tensor(found)
            for number, memory in enumerate(self._memories):
                self.queues[number] = torch.tensor([memory.queue_idx, memory.has_been_filled])
        return losses


def _sorted_by_class(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    # PML takes the classes to be contiguous, and mistakes their number for their size.
    sizes = labels.unique(return_counts=True)[1].tolist()
    if set(sizes) != {len(sizes)}:
        raise ValueError(
            'SmoothAPLoss of pytorch-metric-learning is right only for as many classes in a batch '
            f'(of all processes and views) as images of each, got {len(sizes)} classes of {sizes} '
            "images; set e.g. batch_size=36, batch_sampler=dict(type='MPerClassSampler', m=6)"
        )
    order = labels.argsort(stable=True)
    return embeddings[order], labels[order]
