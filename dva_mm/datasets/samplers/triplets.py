"""FixedSetOfTriplets: batches of triplets that never change."""

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .class_images import ClassImages, check_positive, seeded_rng, whole_parts

_TRIPLETS, _TRIPLET_ORDER = 103, 104  # see m_per_class.py


def count_triplets(counts: np.ndarray) -> int:
    """How many triplets (two images of a class, one of another) ``counts`` (C,) make, none shared.

    A triplet needs three images, a pair within a class, and an image outside the largest class.
    No more is needed: see ``draw_triplets``.

    >>> count_triplets(np.array([20, 3, 4]))
    7
    """
    total = counts.sum()
    return int(min(total // 3, (counts // 2).sum(), total - counts.max(initial=0)))


def draw_triplets(
    counts: np.ndarray, num_triplets: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the classes of triplets that share no image.

    Args:
        counts: Images of each class, (C,).
        num_triplets: Number of triplets N, at most ``count_triplets(counts)``.
        rng: Random numbers.

    Returns:
        The class of the anchors and positives, and the class of the negatives, both (N,).

    >>> draw_triplets(np.array([2, 1]), num_triplets=1, rng=np.random.default_rng(0))
    (array([0]), array([1]))
    """

    def draw(units: np.ndarray, total: int) -> np.ndarray:
        return rng.multivariate_hypergeometric(units, total, method='count')

    # A class with x pairs has min(count - 2x, N - x) negatives for the pairs of other classes.
    most = np.minimum(counts // 2, num_triplets)
    pairs = draw(most, num_triplets)
    short = num_triplets - np.minimum(counts - 2 * pairs, num_triplets - pairs).sum()
    if short > 0:
        # A class of more than N images gives its first pairs for one negative each, all others
        # cost two. Moving a pair from the latter to the former wins a negative.
        cheap = np.clip(counts - num_triplets, 0, most)
        moved = draw(np.maximum(pairs - cheap, 0), short)
        pairs = pairs - moved + draw(np.maximum(cheap - pairs, 0), short)
    singles = draw(np.minimum(counts - 2 * pairs, num_triplets - pairs), num_triplets)
    positive = rng.permutation(np.repeat(np.arange(len(counts)), pairs))
    negative = rng.permutation(np.repeat(np.arange(len(counts)), singles))
    # Class c is on at most N of the 2N places, so a triplet of c alone finds one without c.
    for row in np.flatnonzero(positive == negative):
        label = positive[row]
        if negative[row] != label:  # an earlier exchange has mended it
            continue
        other = rng.choice(np.flatnonzero((positive != label) & (negative != label)))
        negative[row], negative[other] = negative[other], label
    return positive, negative


@DATA_SAMPLERS.register_module()
class FixedSetOfTriplets(Sampler[list[int]]):
    """Batches (a, p, n, a, p, n, ...) of triplets that are drawn once for the whole training.

    For losses that shall see these triplets only: set ``miner=
    dict(type='EmbeddingsAlreadyPackagedAsTriplets')``. Anchor and positive are two images of one
    class, the negative is of another. The triplets follow from the seed alone, their order from
    seed and epoch. No image is in two triplets. What does not fill a batch on all ranks rests;
    other triplets in each epoch.

    Args:
        sampler: A DefaultSampler; MMEngine passes it.
        batch_size: Images in a batch of one rank, a multiple of 3; MMEngine passes it.
        num_triplets: Number of triplets.

    Raises:
        ValueError: If ``num_triplets`` is more than the classes allow or fills no batch, or
            ``batch_size`` is not a multiple of 3.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int, num_triplets: int) -> None:
        user = 'FixedSetOfTriplets'
        check_positive(user, 'num_triplets', num_triplets)
        self.sampler, self.batch_size = sampler, batch_size
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
        images.log(self._num_steps, self._num_steps * sampler.world_size * batch_size)

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
