"""The two classification data sets of the pre-training, drawn at the first use."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from dva_mm.demo.birds import make_species
from dva_mm.demo.dataset import PLACES, draw_once, save_picture

from .objects import OBJECTS, draw_object
from .parts import PARTS, draw_part, random_bird


def draw_objects(root: str | Path, images_per_class: int = 160, seed: int = 0) -> Path:
    """Draw the coarse objects into ``root/{train,val}/CLASS/*.jpg``, unless they are there already.

    One picture in sixteen is for validation. See :func:`dva_mm.demo.dataset.draw_once`.
    """

    def write(folder: Path, numbers: Iterable[int]) -> None:
        for number in numbers:
            label, index = divmod(number, images_per_class)
            # The offset keeps these streams apart from those of the birds' pictures.
            rng = np.random.default_rng((seed, 10_000 + label, index))
            size = (int(rng.integers(112, 136)), int(rng.integers(100, 120)))
            picture = draw_object(*OBJECTS[label], rng, size)
            save_picture(_file(folder, OBJECTS[label], index), picture)

    settings = dict(images_per_class=images_per_class, seed=seed)
    return draw_once(root, 'objects', len(OBJECTS) * images_per_class, settings, write)


def draw_parts(root: str | Path, images_per_class: int = 80, seed: int = 0) -> Path:
    """Draw close-ups of heads, bodies and tails into ``root/{train,val}/CLASS/*.jpg``.

    The birds are of no species of the demo. See :func:`draw_objects` for everything else.
    """

    species = set(make_species(len(PLACES)))

    def write(folder: Path, numbers: Iterable[int]) -> None:
        for number in numbers:
            label, index = divmod(number, images_per_class)
            rng = np.random.default_rng((seed, 20_000 + label, index))
            region, fixed = PARTS[label]
            picture = draw_part(region, random_bird(rng, fixed, species), rng, side=112)
            save_picture(_file(folder, (region, *fixed.values()), index), picture)

    settings = dict(images_per_class=images_per_class, seed=seed)
    return draw_once(root, 'parts', len(PARTS) * images_per_class, settings, write)


def _file(folder: Path, words: Iterable[str], index: int) -> Path:
    return folder / ('val' if index % 16 == 0 else 'train') / '_'.join(words) / f'{index:04d}.jpg'


@DATASETS.register_module()
class DemoObjects(CustomDataset):
    """The coarse objects as a classification data set; ``data_root`` is drawn at the first use.

    Args:
        images_per_class: Pictures to draw of each class. Defaults to 160.
        **kwargs: Those of mmpretrain's ``CustomDataset``; ``data_prefix`` is 'train' or 'val'.
    """

    def __init__(self, images_per_class: int = 160, **kwargs) -> None:
        self.images_per_class = images_per_class
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the pictures if need be, then list them."""
        draw_objects(self.data_root, self.images_per_class)
        return super().load_data_list()


@DATASETS.register_module()
class DemoParts(CustomDataset):
    """The close-ups of birds' parts as a classification data set; see :class:`DemoObjects`."""

    def __init__(self, images_per_class: int = 80, **kwargs) -> None:
        self.images_per_class = images_per_class
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the pictures if need be, then list them."""
        draw_parts(self.data_root, self.images_per_class)
        return super().load_data_list()
