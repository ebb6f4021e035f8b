"""MPerClassSampler: batches of a few images of each of their classes."""

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .class_images import ClassImages, seeded_rng, whole_parts
from .steps import count_steps, draw_steps

# Each use of (seed, epoch) has a stream of its own, other than the data set's (seed, epoch, index).
_M_PER_CLASS = 101


@DATA_SAMPLERS.register_module()
class MPerClassSampler(Sampler[list[int]]):
    """Batches of ``batch_size / m`` classes with m images of each.

    A step's classes differ on all ranks, and R ranks with batches of B draw the same steps as one
    rank with batches of R * B. Each class's images are shuffled and cut into groups of m; an epoch
    draws as many steps of different classes as these groups allow. Other images rest, other ones
    in each epoch.

    Args:
        sampler: A DefaultSampler; MMEngine passes it.
        batch_size: Images in a batch of one rank; MMEngine passes it.
        m: Images of a class in a batch.
        small_classes: What to do about classes of fewer than m images: 'error' refuses the data
            set, 'skip' leaves them out of training and logs how many. Defaults to 'error'.

    Raises:
        ValueError: If an option is out of range, a class is too small, ``batch_size`` is not a
            multiple of m, or there are fewer classes than a step takes.
    """

    def __init__(
        self, sampler: DefaultSampler, batch_size: int, m: int, small_classes: str = 'error'
    ) -> None:
        user = 'MPerClassSampler'
        self.sampler, self.batch_size, self.m = sampler, batch_size, m
        self._images = ClassImages(sampler, user)
        self._groups = self._images.groups_of(m, small_classes)
        self._share = whole_parts(user, batch_size, m, f'm={m}')  # classes on one rank
        self._per_step = sampler.world_size * self._share
        self._num_steps = count_steps(self._groups, self._per_step)
        if self._num_steps == 0:
            raise ValueError(
                f'{user}: a step takes {self._per_step} different classes ({sampler.world_size} '
                f'rank(s) x batch_size {batch_size} / m {m}), but only {(self._groups > 0).sum()} '
                'have m images; lower batch_size or raise m'
            )
        self._images.log(self._num_steps, self._num_steps * self._per_step * m)

    def __iter__(self) -> Iterator[list[int]]:
        """This rank's batches; the images of a class are adjacent."""
        rng = seeded_rng(_M_PER_CLASS, self.sampler, self.sampler.epoch)
        order = self._images.shuffle(rng)
        classes, groups = draw_steps(self._groups, self._per_step, rng)
        images = self._images.take(order, classes, groups, self.m)  # (T, per_step, m)
        first = self.sampler.rank * self._share
        yield from images[:, first : first + self._share].reshape(len(images), -1).tolist()

    def __len__(self) -> int:
        """Batches of a rank in an epoch; the same on all ranks and in all epochs."""
        return self._num_steps

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.sampler.set_epoch(epoch)
