"""The labelled pictures of the pre-training, drawn at the first use."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmpretrain.datasets import MultiTaskDataset
from mmpretrain.registry import DATASETS

from dva_mm.demo.birds import make_species
from dva_mm.demo.dataset import PLACES, draw_once, save_picture

from .objects import OBJECTS, draw_object
from .parts import TRAITS, draw_part, random_bird

TASKS = dict(thing=tuple('_'.join(thing) for thing in OBJECTS), **TRAITS)
"""The classification tasks and their classes."""
SIDE = 104


def draw_tagged(root: str | Path, count: int = 40_000, seed: int = 0) -> Path:
    """Draw ``count`` pictures into ``root``, unless they are there already.

    Every other one shows a thing of ``OBJECTS``, its class of the task 'thing'. The others show a
    part of a bird of no species of the demo, and have a label for each trait to be seen.
    One picture in forty is for validation. ``train.json`` and ``val.json`` list them in the format
    of mmpretrain's ``MultiTaskDataset``. See :func:`dva_mm.demo.dataset.draw_once`.
    """
    species = set(make_species(len(PLACES)))

    def draw(number: int) -> tuple[np.ndarray, dict[str, str]]:
        rng = np.random.default_rng((seed, 10_000, number))
        if number % 2:
            return draw_part(random_bird(rng, species), rng, SIDE)
        thing = OBJECTS[rng.integers(len(OBJECTS))]
        return draw_object(*thing, rng, (SIDE, SIDE)), dict(thing='_'.join(thing))

    def write(folder: Path, numbers: Iterable[int]) -> None:
        rows = dict(train=[], val=[])
        for number in numbers:
            picture, shown = draw(number)
            file = f'images/{number:05d}.jpg'
            save_picture(folder / file, picture)
            labels = {task: TASKS[task].index(kind) for task, kind in shown.items()}
            side = 'val' if number % 80 < 2 else 'train'
            rows[side].append(dict(img_path=file, gt_label=labels))
        for side, data in rows.items():
            table = dict(metainfo=dict(tasks=list(TASKS)), data_list=data)
            (folder / f'{side}.json').write_text(json.dumps(table))

    return draw_once(root, 'tagged', count, dict(count=count, seed=seed), write)


@DATASETS.register_module()
class DemoTagged(MultiTaskDataset):
    """The pictures with their labels; ``data_root`` is drawn at the first use.

    Args:
        data_root: Folder of the pictures.
        count: Pictures to draw. Defaults to 40,000.
        **kwargs: Those of mmpretrain's ``MultiTaskDataset``.
    """

    def __init__(self, data_root: str, count: int = 40_000, **kwargs) -> None:
        draw_tagged(data_root, count)
        super().__init__(data_root=data_root, **kwargs)
