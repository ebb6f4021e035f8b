"""Data sets of counted images, and the three batch samplers on them as ranks have them."""

import numpy as np
from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from dva_mm.datasets.samplers import FixedSetOfTriplets, HierarchicalSampler, MPerClassSampler

BIRDS = ('auk', 'coot', 'duck', 'gull', 'owl', 'wren')
FAMILIES = ('sea', 'water', 'water', 'sea', 'land', 'land')
Batches = list[list[int]]


@DATASETS.register_module()
class CountedImages(BaseDataset):
    """So many images of each class, in mixed order, without any files."""

    def __init__(self, counts: tuple[int, ...], named: bool = True, **kwargs) -> None:
        self.counts = counts
        metainfo = dict(classes=BIRDS, super_classes=FAMILIES) if named else {}
        metainfo.update(kwargs.pop('metainfo', {}))
        super().__init__('', metainfo=metainfo, **{'serialize_data': False, **kwargs})

    def load_data_list(self) -> list[dict]:
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        return [dict(gt_label=int(label)) for label in np.random.default_rng(0).permutation(labels)]


def default_sampler(
    counts: tuple[int, ...],
    rank: int = 0,
    world_size: int = 1,
    seed: int = 5,
    named: bool = True,
    **metainfo,
) -> DefaultSampler:
    """MMEngine's sampler, as the process of this rank has it."""
    sampler = DefaultSampler(CountedImages(counts, named, metainfo=metainfo), seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    return sampler


def m_per_class(batch_size: int = 4, m: int = 2, **options) -> MPerClassSampler:
    return MPerClassSampler(default_sampler((5, 9, 6, 8, 7, 11), **options), batch_size, m)


def hierarchical(batch_size: int = 8, m: int = 2, **options) -> HierarchicalSampler:
    return HierarchicalSampler(default_sampler((9, 9, 12, 8, 7, 16), **options), batch_size, m)


def triplets(batch_size: int = 6, num_triplets: int = 13, **options) -> FixedSetOfTriplets:
    sampler = default_sampler((5, 9, 6, 8, 7, 11), **options)
    return FixedSetOfTriplets(sampler, batch_size, num_triplets)


KINDS = [m_per_class, hierarchical, triplets]


def labels_of(sampler) -> np.ndarray:
    return sampler.sampler.dataset.get_gt_labels()


def flat(batches: Batches) -> list[int]:
    return [index for batch in batches for index in batch]


def epoch_of(sampler, epoch: int) -> Batches:
    sampler.set_epoch(epoch)
    return list(sampler)
