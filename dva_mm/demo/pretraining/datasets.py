"""The labelled pictures of the pre-training, drawn at the first use."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mmpretrain.datasets import MultiTaskDataset
from mmpretrain.registry import DATASETS

from dva_mm.demo.birds import draw_bird, make_species
from dva_mm.demo.canvas import Canvas
from dva_mm.demo.dataset import PLACES, draw_once, save_picture
from dva_mm.demo.scene import HABITATS, paint_scene, paint_sprigs
from dva_mm.demo.things import THINGS, paint_thing

from .parts import TRAITS, draw_part, random_bird

_SKIES, _SEASONS = (tuple(dict.fromkeys(names)) for names in zip(*HABITATS, strict=True))
TASKS = dict(
    thing=(*('_'.join(thing) for thing in THINGS), 'songbird'),
    sky=_SKIES,
    season=_SEASONS,
    **TRAITS,
)
"""The classification tasks and their classes."""
SIDE = 104
LIGHT = 0.4


def draw_tagged(root: str | Path, count: int = 40_000, seed: int = 0) -> Path:
    """Draw ``count`` pictures into ``root``, unless they are there already.

    Half of them are scenes, labelled with what stands in them (a thing of ``THINGS``, or in every
    second scene a bird, of which no trait is told), the sky and the season. The other half are
    close-ups of a bird, with a label for each trait to be seen. No bird is of a species of the
    demo.
    One picture in forty is for validation. ``train.json`` and ``val.json`` list them in the format
    of mmpretrain's ``MultiTaskDataset``. See :func:`dva_mm.demo.dataset.draw_once`.
    """
    species = set(make_species(len(PLACES)))

    def draw(number: int) -> tuple[np.ndarray, dict[str, str]]:
        rng = np.random.default_rng((seed, 10_000, number))
        if number % 2:
            return draw_part(random_bird(rng, species), rng, SIDE, LIGHT)
        habitat = HABITATS[rng.integers(len(HABITATS))]
        shown = dict(zip(('sky', 'season'), habitat, strict=True))
        if number % 4:
            bird = random_bird(rng, species)
            drawing = draw_bird(bird, rng, (SIDE, SIDE), habitat=habitat, light=LIGHT)
            return drawing.picture, dict(thing='songbird', **shown)
        thing = THINGS[rng.integers(len(THINGS))]
        picture = draw_thing(*thing, rng, (SIDE, SIDE), habitat, LIGHT)
        return picture, dict(thing='_'.join(thing), **shown)

    def write(folder: Path, numbers: Iterable[int]) -> None:
        rows = dict(train=[], val=[])
        for number in numbers:
            picture, shown = draw(number)
            file = f'images/{number:05d}.jpg'
            save_picture(folder / file, picture)
            labels = {task: TASKS[task].index(kind) for task, kind in shown.items()}
            side = 'val' if number % 160 < 4 else 'train'
            rows[side].append(dict(img_path=file, gt_label=labels))
        for side, data in rows.items():
            table = dict(metainfo=dict(tasks=list(TASKS)), data_list=data)
            (folder / f'{side}.json').write_text(json.dumps(table))

    return draw_once(root, 'tagged', count, dict(count=count, seed=seed), write)


def draw_thing(
    kind: str,
    variant: str,
    rng: np.random.Generator,
    size: tuple[int, int],
    habitat: tuple[str, str],
    light: float,
) -> np.ndarray:
    """Draw an entry of ``THINGS`` in a scene, (H, W, 3) uint8 RGB, of this (width, height).

    ``habitat`` is one of ``HABITATS``; ``light``, 0 to 1, is how much brightness and tint vary.
    """
    canvas = Canvas(size)
    paint_scene(canvas, rng, habitat, clutter=rng.uniform(0, 1))
    scale = rng.uniform(0.32, 0.5) * min(size)
    centre = rng.uniform((0.38, 0.4), (0.62, 0.6)) * size
    canvas.place(centre, scale, rng.uniform(-0.35, 0.35), bool(rng.random() < 0.5))
    paint_thing(canvas, kind, variant, rng)
    if rng.random() < 0.2:
        paint_sprigs(canvas, rng, habitat[1], 1)
    return canvas.finish(rng, light)


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
