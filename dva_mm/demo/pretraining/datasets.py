"""The two classification data sets of the pre-training, drawn at the first use."""

from collections.abc import Callable, Iterable, Sequence
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

    def draw(label: int, rng: np.random.Generator) -> np.ndarray:
        size = (int(rng.integers(112, 136)), int(rng.integers(100, 120)))
        return draw_object(*OBJECTS[label], rng, size)

    return _draw(root, 'objects', OBJECTS, draw, images_per_class, seed, offset=10_000)


def draw_parts(root: str | Path, images_per_class: int = 80, seed: int = 0) -> Path:
    """Draw close-ups of heads, bodies and tails of birds of no species of the demo.

    Everything else is as in :func:`draw_objects`.
    """
    species = set(make_species(len(PLACES)))

    def draw(label: int, rng: np.random.Generator) -> np.ndarray:
        region, fixed = PARTS[label]
        return draw_part(region, random_bird(rng, fixed, species), rng, side=112)

    names = [(region, *fixed.values()) for region, fixed in PARTS]
    return _draw(root, 'parts', names, draw, images_per_class, seed, offset=20_000)


def _draw(
    root: str | Path,
    kind: str,
    classes: Sequence[Sequence[str]],
    draw: Callable[[int, np.random.Generator], np.ndarray],
    images_per_class: int,
    seed: int,
    offset: int,
) -> Path:
    """Draw so many pictures a class; the offset keeps the random streams apart."""

    def write(folder: Path, numbers: Iterable[int]) -> None:
        for number in numbers:
            label, index = divmod(number, images_per_class)
            side = folder / ('val' if index % 16 == 0 else 'train') / '_'.join(classes[label])
            picture = draw(label, np.random.default_rng((seed, offset + label, index)))
            save_picture(side / f'{index:04d}.jpg', picture)

    settings = dict(images_per_class=images_per_class, seed=seed)
    return draw_once(root, kind, len(classes) * images_per_class, settings, write)


@DATASETS.register_module()
class DemoObjects(CustomDataset):
    """The coarse objects as a classification data set; ``data_root`` is drawn at the first use.

    Args:
        images_per_class: Pictures to draw of each class. None takes :func:`draw_objects`' number.
            Defaults to None.
        **kwargs: Those of mmpretrain's ``CustomDataset``; ``data_prefix`` is 'train' or 'val'.
    """

    draw = staticmethod(draw_objects)

    def __init__(self, images_per_class: int | None = None, **kwargs) -> None:
        self.options = dict(images_per_class=images_per_class) if images_per_class else {}
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the pictures if need be, then list them."""
        self.draw(self.data_root, **self.options)
        return super().load_data_list()


@DATASETS.register_module()
class DemoParts(DemoObjects):
    """The close-ups of birds' parts, likewise."""

    draw = staticmethod(draw_parts)
