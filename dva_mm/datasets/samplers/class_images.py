"""The images of a data set by class, and random numbers from seed and epoch."""

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log


class ClassImages:
    """The images of a data set by class; classes without images do not count."""

    def __init__(self, sampler: DefaultSampler, user: str) -> None:
        for attribute in ('dataset', 'seed', 'epoch', 'rank', 'world_size'):
            if not hasattr(sampler, attribute):
                raise ValueError(
                    f"{user} needs sampler=dict(type='DefaultSampler') for the {attribute}, got "
                    f'{type(sampler).__name__}'
                )
        dataset = sampler.dataset
        if hasattr(dataset, 'get_gt_labels'):
            labels = np.asarray(dataset.get_gt_labels())
        else:  # MMEngine's wrappers, such as ConcatDataset
            labels = np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])
        if labels.shape != (len(dataset),):
            raise ValueError(
                f'{user} needs one label for each of {len(dataset)} images, got labels of shape '
                f'{labels.shape}; it works neither on multi-label data nor with num_batch_per_epoch'
            )
        present, self.labels, self.counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        self.present = present.tolist()
        self.metainfo = getattr(dataset, 'metainfo', {})
        self._starts = np.cumsum(self.counts) - self.counts

    def name(self, number: int) -> str:
        """The name of a class, or its label where the data set has no names."""
        label = self.present[number]
        names = self.metainfo.get('classes')
        return str(names[label]) if names else str(label)

    def shuffle(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of all images, (N,): class by class, at random within each."""
        order = rng.permutation(len(self.labels))
        return order[np.argsort(self.labels[order], kind='stable')]

    def groups_of(self, m: int, small_classes: str, user: str) -> np.ndarray:
        """Groups of m images in each class, (C,); a class of fewer is refused or skipped."""
        if not isinstance(m, int) or m < 1:
            raise ValueError(f'{user} m must be a positive whole number, got {m!r}')
        if small_classes not in ('error', 'skip'):
            raise ValueError(
                f"{user} small_classes must be 'error' or 'skip', got {small_classes!r}"
            )
        small = np.flatnonzero(self.counts < m)
        if len(small) and small_classes == 'error':
            raise ValueError(
                f'{user}: class {self.name(small[0])!r} has {self.counts[small[0]]} image(s), '
                f'fewer than m={m}, one of {len(small)} such classes of {len(self.counts)}; lower '
                "m, add images, or leave such classes out with small_classes='skip'"
            )
        if len(small):
            print_log(
                f'{user}: {len(small)} of {len(self.counts)} classes have fewer than m={m} images '
                'and are left out of training',
                'current',
            )
        return self.counts // m

    def take(self, order: np.ndarray, classes: np.ndarray, groups: np.ndarray, m: int):
        """Image indices of group number ``groups`` of ``classes``, (..., m), out of ``order``."""
        first = self._starts[classes] + m * groups
        return order[first[..., None] + np.arange(m)]

    def log(self, user: str, num_batches: int, used: int) -> None:
        """Say what an epoch is."""
        print_log(
            f'{user}: {num_batches} batches a rank and epoch, together {used} of '
            f'{len(self.labels)} images ({used / len(self.labels):.1%})',
            'current',
        )


def seeded_rng(stream: int, sampler: DefaultSampler, *epoch: int) -> np.random.Generator:
    return np.random.default_rng((stream, int(sampler.seed), *epoch))


def whole_parts(user: str, batch_size: int, divisor: int, meaning: str) -> int:
    if batch_size < 1 or batch_size % divisor:
        raise ValueError(f'{user}: batch_size={batch_size} is not a multiple of {meaning}')
    return batch_size // divisor
