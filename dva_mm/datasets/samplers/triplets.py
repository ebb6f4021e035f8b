"""FixedSetOfTriplets: batches of triplets that never change."""

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .class_images import ClassImages, seeded_rng, whole_parts
from .drawing import count_triplets, draw_triplets

_TRIPLETS, _TRIPLET_ORDER = 103, 104  # see m_per_class.py


@DATA_SAMPLERS.register_module()
class FixedSetOfTriplets(Sampler[list[int]]):
    """Batches (a, p, n, a, p, n, ...) of triplets that are drawn once for the whole training.

    For losses that shall see these triplets only: set ``miner=
    dict(type='EmbeddingsAlreadyPackagedAsTriplets')``. Anchor and positive are two images of one
    class, the negative is of another. The triplets follow from the seed alone, their order from
    seed and epoch. No image is in two triplets, so none is on two ranks (PML's sampler reuses
    images). What does not fill a batch on all ranks rests; other triplets in each epoch.

    Args:
        sampler: A DefaultSampler; MMEngine passes it.
        batch_size: Images in a batch of one rank, a multiple of 3; MMEngine passes it.
        num_triplets: Number of triplets.

    Raises:
        ValueError: if ``num_triplets`` is out of range, or more than the classes allow, or fills
            no batch, or ``batch_size`` is not a multiple of 3.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int, num_triplets: int) -> None:
        user = 'FixedSetOfTriplets'
        if not isinstance(num_triplets, int) or num_triplets < 1:
            raise ValueError(
                f'{user} num_triplets must be a positive whole number, got {num_triplets!r}'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self._share = whole_parts(user, batch_size, 3, '3')  # triplets on one rank
        images = ClassImages(sampler, user)
        possible = count_triplets(images.counts)
        if num_triplets > possible:
            raise ValueError(
                f'{user}: num_triplets={num_triplets}, but {len(images.labels)} images of '
                f'{len(images.counts)} classes (the largest has {images.counts.max(initial=0)}) '
                f'make at most {possible} triplets without a shared image'
            )
        self._num_steps = num_triplets // (sampler.world_size * self._share)
        if self._num_steps == 0:
            raise ValueError(
                f'{user}: num_triplets={num_triplets} fill no step of '
                f'{sampler.world_size * self._share} triplets ({sampler.world_size} rank(s) x '
                f'batch_size {batch_size} / 3); lower batch_size or raise num_triplets'
            )
        rng = seeded_rng(_TRIPLETS, sampler)
        ends = np.cumsum(images.counts)[:-1]
        stacks = [some.tolist() for some in np.split(images.shuffle(rng), ends)]
        pairs = zip(*draw_triplets(images.counts, num_triplets, rng), strict=True)
        self._triplets = np.array(
            [[stacks[a].pop(), stacks[a].pop(), stacks[n].pop()] for a, n in pairs]
        )
        images.log(user, self._num_steps, self._num_steps * sampler.world_size * batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """This rank's batches."""
        rng = seeded_rng(_TRIPLET_ORDER, self.sampler, self.sampler.epoch)
        per_step = self.sampler.world_size * self._share
        chosen = rng.permutation(len(self._triplets))[: self._num_steps * per_step]
        first = self.sampler.rank * self._share
        mine = chosen.reshape(-1, per_step)[:, first : first + self._share]
        yield from self._triplets[mine].reshape(len(mine), -1).tolist()

    def __len__(self) -> int:
        """Batches of a rank in an epoch; the same on all ranks and in all epochs."""
        return self._num_steps

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.sampler.set_epoch(epoch)
