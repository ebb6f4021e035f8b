"""Batch samplers with m images per class, with super-classes, or with fixed triplets.

They go by the names of pytorch-metric-learning's samplers and are made for a config::

    train_dataloader = dict(
        batch_size=32,  # of one rank
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='MPerClassSampler', m=4),
        drop_last=False,  # whole batches anyway, and PyTorch takes no True beside a batch sampler
    )

Seed, epoch, rank and world size are the DefaultSampler's, on which MMEngine sets the epoch. An
epoch's batches follow from seed and epoch alone, so a resumed run goes on in the same order.
Within an epoch no image is drawn twice, on whatever rank, and all ranks have equally many batches.
"""

from .hierarchical import HierarchicalSampler
from .m_per_class import MPerClassSampler
from .triplets import FixedSetOfTriplets

__all__ = ['FixedSetOfTriplets', 'HierarchicalSampler', 'MPerClassSampler']
