"""The images of a data set by class, and random numbers from seed and epoch."""

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log


class ClassImages:
    """The images of a data set by class; classes without images do not count.

    Args:
        sampler: A DefaultSampler.
        user: Name of the batch sampler that uses it, for messages.

    Raises:
        ValueError: If the sampler is another, or there is not one label for each image.

    >>> class Labels(list):
    ...     get_gt_labels = list.copy
    >>> ClassImages(DefaultSampler(Labels([7, 5, 7]), seed=0), 'MySampler').counts.tolist()
    [1, 2]
    """

    def __init__(self, sampler: DefaultSampler, user: str) -> None:
        for attribute in ('dataset', 'seed', 'epoch', 'rank', 'world_size'):
            if not hasattr(sampler, attribute):
                raise ValueError(
                    f"{user} needs sampler=dict(type='DefaultSampler') for the {attribute}, got "
                    f'{type(sampler).__name__}'
                )
        self.user, dataset = user, sampler.dataset
        if hasattr(dataset, 'get_gt_labels'):
            labels = np.asarray(dataset.get_gt_labels())
        else:  # MMEngine's wrappers, such as ConcatDataset
            labels = np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])
        if labels.shape != (len(dataset),):
            raise ValueError(
                f'{user} needs one label for each of {len(dataset)} images, got labels of shape '
                f'{labels.shape}; it works neither on multi-label data nor with num_batch_per_epoch'
            )
        self._present, self.labels, self.counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        self.metainfo = getattr(dataset, 'metainfo', {})
        self._starts = np.cumsum(self.counts) - self.counts

    def name(self, number: int) -> str:
        """The name of a class, or its label where the data set has no names."""
        label = self._present[number]
        names = self.metainfo.get('classes')
        return str(names[label]) if names else str(label)

    def shuffle(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of all images, (N,): class by class, at random within each."""
        order = rng.permutation(len(self.labels))
        return order[np.argsort(self.labels[order], kind='stable')]

    def groups_of(self, m: int, small_classes: str) -> np.ndarray:
        """Groups of m images in each class, (C,); a class of fewer is refused or skipped."""
        check_positive(self.user, 'm', m)
        if small_classes not in ('error', 'skip'):
            raise ValueError(
                f"{self.user} small_classes must be 'error' or 'skip', got {small_classes!r}"
            )
        if len(small := np.flatnonzero(self.counts < m)):
            few = f'{len(small)} of {len(self.counts)} classes have fewer than m={m} images'
            if small_classes == 'error':
                raise ValueError(
                    f'{self.user}: {few}, {self.name(small[0])!r} has {self.counts[small[0]]}; '
                    "lower m, add images, or leave such classes out with small_classes='skip'"
                )
            print_log(f'{self.user}: {few} and are left out of training', 'current')
        return self.counts // m

    def take(self, order: np.ndarray, classes: np.ndarray, groups: np.ndarray, m: int):
        """Image indices of group number ``groups`` of ``classes``, (..., m), out of ``order``."""
        first = self._starts[classes] + m * groups
        return order[first[..., None] + np.arange(m)]

    def log(self, num_batches: int, used: int) -> None:
        """Say what an epoch is."""
        print_log(
            f'{self.user}: {num_batches} batches a rank and epoch, together {used} of '
            f'{len(self.labels)} images ({used / len(self.labels):.1%})',
            'current',
        )


def seeded_rng(stream: int, sampler: DefaultSampler, *epoch: int) -> np.random.Generator:
    """Random numbers of a stream, from the sampler's seed and, if given, the epoch."""
    return np.random.default_rng((stream, int(sampler.seed), *epoch))


def check_positive(user: str, option: str, value: int) -> None:
    """Raise ValueError unless an option is a positive whole number."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f'{user} {option} must be a positive whole number, got {value!r}')


def whole_parts(user: str, batch_size: int, divisor: int, meaning: str) -> int:
    """``batch_size / divisor``; ValueError if that is not a positive whole number."""
    if batch_size < 1 or batch_size % divisor:
        raise ValueError(f'{user}: batch_size={batch_size} is not a multiple of {meaning}')
    return batch_size // divisor
