"""HierarchicalSampler: batches of few super-classes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from .class_images import ClassImages, check_positive, seeded_rng, whole_parts
from .steps import count_steps, draw_steps

_HIERARCHICAL = 102  # see m_per_class.py


@DATA_SAMPLERS.register_module()
class HierarchicalSampler(Sampler[list[int]]):
    """Batches of a few super-classes (such as bird families), with several classes of each.

    A batch takes ``super_classes_per_batch`` super-classes, equally many images of each, m a
    class. Batches are dealt out to the ranks in turn, so they do not depend on the number of ranks;
    those of one step may share super-classes, never images. An epoch draws as many batches as
    the groups of m images allow, without replacement; other images rest in each epoch.

    Args:
        sampler: A DefaultSampler; MMEngine passes it.
        batch_size: Images in a batch of one rank; MMEngine passes it.
        m: Images of a class in a batch.
        super_classes_per_batch: Super-classes in a batch. Defaults to 2.
        super_classes: A dict class name -> super-class name, or a JSON file of it. Defaults to
            None: the data set's ``metainfo['super_classes']``, in the order of its ``classes``.
        small_classes: What to do about classes of fewer than m images, and super-classes of fewer
            classes than a batch takes: 'error' refuses the data set, 'skip' leaves them out of
            training and logs how many. Defaults to 'error'.

    Raises:
        FileNotFoundError: If the JSON file is not there.
        ValueError: If an option is out of range, super-classes are unknown, or the classes are too
            small or too few; if ``batch_size`` is no multiple of ``super_classes_per_batch * m``.
    """

    def __init__(
        self,
        sampler: DefaultSampler,
        batch_size: int,
        m: int,
        super_classes_per_batch: int = 2,
        super_classes: dict | str | Path | None = None,
        small_classes: str = 'error',
    ) -> None:
        user = 'HierarchicalSampler'
        check_positive(user, 'super_classes_per_batch', super_classes_per_batch)
        self.sampler, self.batch_size, self.m = sampler, batch_size, m
        self.super_classes_per_batch = super_classes_per_batch
        self._images = ClassImages(sampler, user)
        self._groups = self._images.groups_of(m, small_classes)
        product = f'super_classes_per_batch * m = {super_classes_per_batch} * {m}'
        self._classes = whole_parts(user, batch_size, super_classes_per_batch * m, product)
        names, number = np.unique(_super_classes(self._images, super_classes), return_inverse=True)
        members = [np.flatnonzero((number == s) & (self._groups > 0)) for s in range(len(names))]
        self._members = [some for some in members if len(some) >= self._classes]
        if small := [s for s in range(len(names)) if len(members[s]) < self._classes]:
            few = (
                f'{len(small)} of {len(names)} super-classes have fewer than the {self._classes} '
                f'classes that a batch takes (batch_size {batch_size} / ({product}))'
            )
            if small_classes == 'error':
                raise ValueError(
                    f'{user}: {few}, {str(names[small[0]])!r} has {len(members[small[0]])}; lower '
                    "batch_size, raise m, or leave them out with small_classes='skip'"
                )
            print_log(f'{user}: {few} and are left out of training', logger='current')
        if len(self._members) < super_classes_per_batch:
            raise ValueError(
                f'{user}: super_classes_per_batch={super_classes_per_batch}, but only '
                f'{len(self._members)} of {len(names)} super-classes have {self._classes} classes; '
                'lower it or batch_size'
            )
        # A row is one super-class's part of a batch.
        self._rows = np.array([count_steps(self._groups[s], self._classes) for s in self._members])
        num_batches = count_steps(self._rows, super_classes_per_batch)
        self._num_batches = num_batches // sampler.world_size
        if self._num_batches == 0:
            raise ValueError(
                f'{user}: the images make {num_batches} batch(es) of {batch_size}, fewer than the '
                f'{sampler.world_size} ranks; lower batch_size'
            )
        self._images.log(self._num_batches, self._num_batches * sampler.world_size * batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """This rank's batches; the images of a class, and of a super-class, are adjacent."""
        rng = seeded_rng(_HIERARCHICAL, self.sampler, self.sampler.epoch)
        order = self._images.shuffle(rng)
        rows = []
        for members in self._members:
            chosen, groups = draw_steps(self._groups[members], self._classes, rng)
            rows.append(np.stack([members[chosen], groups]))
        table = np.concatenate(rows, axis=1)  # (2, all rows, classes of a row)
        supers, numbers = draw_steps(self._rows, self.super_classes_per_batch, rng)
        first = np.cumsum(self._rows) - self._rows
        classes, groups = table[:, first[supers] + numbers]  # each (B, super-classes, classes)
        images = self._images.take(order, classes, groups, self.m)
        world = self.sampler.world_size
        mine = images[self.sampler.rank : world * len(self) : world]
        yield from mine.reshape(len(mine), -1).tolist()

    def __len__(self) -> int:
        """Batches of a rank in an epoch; the same on all ranks and in all epochs."""
        return self._num_batches

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.sampler.set_epoch(epoch)


def _super_classes(images: ClassImages, given: dict | str | Path | None) -> list[str]:
    """The super-class of each class that has images."""
    user, classes = images.user, images.metainfo.get('classes')
    if not classes:
        raise ValueError(f"{user} needs a data set with class names in metainfo['classes']")
    if given is None:
        names = images.metainfo.get('super_classes') or ()
        if len(names) != len(classes):
            raise ValueError(
                f"{user}: metainfo['super_classes'] has {len(names)} names for {len(classes)} "
                'classes; set super_classes to a dict class name -> super-class name, or to a JSON '
                'file of it'
            )
        given = dict(zip(classes, names, strict=True))
    elif isinstance(given, (str, Path)):
        path = Path(given).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'{user}: there is no file of super-classes {path.absolute()}')
        given = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(given, dict):
        raise ValueError(f'{user} super_classes must map names to names, got a {type(given)}')
    names = [images.name(number) for number in range(len(images.counts))]
    if missing := [name for name in names if name not in given]:
        raise ValueError(
            f'{user}: {len(missing)} of {len(names)} classes have no super-class, '
            f'{missing[0]!r} for one; add them to super_classes'
        )
    return [str(given[name]) for name in names]
