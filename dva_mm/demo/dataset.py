"""Two drawn data sets: the demo's birds, and the objects on which its ViT is pre-trained."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS

from .bird_drawing import (
    BEAKS,
    BELLIES,
    CRESTS,
    TAILS,
    WINGS,
    Species,
    draw_bird,
    draw_part,
    make_species,
)
from .object_drawing import OBJECTS, draw_object

DRAWING = 1  # Raised whenever the same settings draw other pictures.
MARKER = 'drawn.json'
_PLACES = (
    *('Alder', 'Amber', 'Birch', 'Bramble', 'Canyon', 'Cedar', 'Clover', 'Coast', 'Dune', 'Elm'),
    *('Fen', 'Fern', 'Glen', 'Harbour', 'Heath', 'Holly', 'Island', 'Juniper', 'Linden', 'Marsh'),
    *('Moor', 'Orchard', 'Pine', 'Prairie', 'Reed', 'Ridge', 'River', 'Rowan', 'Sedge', 'Valley'),
)
_FAMILIES = dict(cone='Finch', needle='Creeper', hook='Shrike', broad='Kingfisher')


def draw_demo(
    root: str | Path, num_species: int = 30, images_per_species: int = 24, seed: int = 0
) -> Path:
    """Draw the demo birds into ``root`` in CUB-200-2011's layout, unless they are there already.

    Written are ``images/``, ``images.txt``, ``image_class_labels.txt``, ``classes.txt``,
    ``train_test_split.txt`` (half of each species' images is training: 1) and
    ``bounding_boxes.txt`` (x y w h, pixels). Pictures are 160-192 x 128-160 pixels. The same
    settings give the same pixels. 720 pictures take about half a minute.

    Args:
        root: Folder of the data set. It appears complete or not at all; when several processes
            draw at once, the first to finish wins and the others use its folder. A killed process
            leaves a folder ``.NAME.*`` beside it, which may be deleted.
        num_species: Number of classes, at most 30. Defaults to 30.
        images_per_species: Pictures of each. Defaults to 24.
        seed: Seed of every picture. Defaults to 0.

    Returns:
        ``root`` as a path.

    Raises:
        ValueError: When ``root`` holds something else, or a set drawn with other settings.
    """
    if not 1 <= num_species <= len(_PLACES):
        raise ValueError(
            f'num_species must lie between 1 and {len(_PLACES)}, as there are no more names; got '
            f'{num_species}'
        )
    settings = dict(
        kind='birds',
        drawing=DRAWING,
        num_species=num_species,
        images_per_species=images_per_species,
        seed=seed,
    )

    def write(folder: Path) -> None:
        species = make_species(num_species)
        names = [
            f'{i + 1:03d}.{_PLACES[i]}_{_FAMILIES[bird.beak]}' for i, bird in enumerate(species)
        ]
        tables = {name: [] for name in ('images', 'labels', 'split', 'boxes')}
        for label, index in _progress(num_species, images_per_species):
            rng = np.random.default_rng((seed, label, index))
            size = (int(rng.integers(160, 193)), int(rng.integers(128, 161)))
            picture, box = draw_bird(species[label], rng, size)
            file = f'{names[label]}/{names[label][4:]}_{index + 1:04d}.jpg'
            _save(folder / 'images' / file, picture)
            number = label * images_per_species + index + 1
            tables['images'].append(f'{number} {file}')
            tables['labels'].append(f'{number} {label + 1}')
            tables['split'].append(f'{number} {int(index % 2 == 0)}')
            tables['boxes'].append(f'{number} ' + ' '.join(f'{value:.1f}' for value in box))
        classes = [f'{i + 1} {name}' for i, name in enumerate(names)]
        for file, lines in (
            ('images.txt', tables['images']),
            ('image_class_labels.txt', tables['labels']),
            ('train_test_split.txt', tables['split']),
            ('bounding_boxes.txt', tables['boxes']),
            ('classes.txt', classes),
        ):
            (folder / file).write_text('\n'.join(lines) + '\n')

    return _draw_once(Path(root), settings, num_species * images_per_species, write)


def draw_objects(root: str | Path, images_per_class: int = 160, seed: int = 0) -> Path:
    """Draw the coarse objects into ``root/{train,val}/CLASS/*.jpg``, unless they are there already.

    One picture in sixteen is for validation. See :func:`draw_demo` for everything else.
    """
    settings = dict(kind='objects', drawing=DRAWING, images_per_class=images_per_class, seed=seed)

    def write(folder: Path) -> None:
        for label, index in _progress(len(OBJECTS), images_per_class):
            # The offset keeps these streams apart from those of the birds' pictures.
            rng = np.random.default_rng((seed, 10_000 + label, index))
            kind, variant = OBJECTS[label]
            size = (int(rng.integers(112, 136)), int(rng.integers(100, 120)))
            split = 'val' if index % 16 == 0 else 'train'
            picture = draw_object(kind, variant, rng, size)
            _save(folder / split / f'{kind}_{variant}' / f'{index:04d}.jpg', picture)

    return _draw_once(Path(root), settings, len(OBJECTS) * images_per_class, write)


PARTS = (
    *(('head', dict(beak=beak, crest=crest)) for beak, crest in product(BEAKS, CRESTS)),
    *(('body', dict(wing=wing, belly=belly)) for wing, belly in product(WINGS, BELLIES)),
    *(('tail', dict(tail=tail)) for tail in TAILS),
)
"""The 36 classes of close-ups: the region shown, and the parts that are the class."""


def draw_parts(root: str | Path, images_per_class: int = 80, seed: int = 0) -> Path:
    """Draw close-ups of heads, bodies and tails into ``root/{train,val}/CLASS/*.jpg``.

    The birds are of no species of the demo. See :func:`draw_objects` for everything else.
    """
    settings = dict(kind='parts', drawing=DRAWING, images_per_class=images_per_class, seed=seed)
    excluded = set(make_species(len(_PLACES)))

    def write(folder: Path) -> None:
        for label, index in _progress(len(PARTS), images_per_class):
            rng = np.random.default_rng((seed, 20_000 + label, index))
            region, fixed = PARTS[label]
            while (bird := _random_bird(rng, fixed)) in excluded:
                pass
            split = 'val' if index % 16 == 0 else 'train'
            picture = draw_part(region, bird, rng, side=112)
            name = '_'.join((region, *fixed.values()))
            _save(folder / split / name / f'{index:04d}.jpg', picture)

    return _draw_once(Path(root), settings, len(PARTS) * images_per_class, write)


def _random_bird(rng: np.random.Generator, fixed: dict[str, str]) -> Species:
    kinds = dict(wing=WINGS, crest=CRESTS, beak=BEAKS, tail=TAILS, belly=BELLIES)
    parts = {part: values[int(rng.integers(len(values)))] for part, values in kinds.items()}
    return Species(**{**parts, **fixed})


@DATASETS.register_module()
class DemoObjects(CustomDataset):
    """The coarse objects as a classification data set; ``data_root`` is drawn at the first use.

    Options are those of mmpretrain's ``CustomDataset``; ``data_prefix`` is 'train' or 'val'.
    """

    def load_data_list(self) -> list[dict]:
        """Draw the pictures if need be, then list them."""
        draw_objects(self.data_root)
        return super().load_data_list()


@DATASETS.register_module()
class DemoParts(CustomDataset):
    """The close-ups of birds' parts as a classification data set; see :class:`DemoObjects`."""

    def load_data_list(self) -> list[dict]:
        """Draw the pictures if need be, then list them."""
        draw_parts(self.data_root)
        return super().load_data_list()


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f'{path} could not be written')


def _progress(classes: int, images: int) -> Iterator[tuple[int, int]]:
    """All pairs (class, image); counts the classes aloud where somebody looks on."""
    for label in range(classes):
        if sys.stdout.isatty():
            end = '\n' if label + 1 == classes else ''
            print(f'\rdrawing class {label + 1}/{classes}', end=end, flush=True)
        yield from ((label, index) for index in range(images))


def _draw_once(
    root: Path, settings: dict[str, str | int], count: int, write: Callable[[Path], None]
) -> Path:
    """Let ``write`` fill a temporary folder beside ``root``, then rename it to ``root``."""
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        print_log(f'Drawing {count} pictures into {root} (once)', logger='current')
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.') as scratch:
            folder = Path(scratch) / 'set'
            folder.mkdir()
            write(folder)
            (folder / MARKER).write_text(json.dumps(settings) + '\n')
            try:
                os.rename(folder, root)
            except OSError:
                if not root.exists():
                    raise
    marker = root / MARKER
    found = json.loads(marker.read_text()) if marker.is_file() else None
    if found != settings:
        held = 'files of another origin' if found is None else f'a set drawn with {found}'
        raise ValueError(
            f'{root} holds {held}, but {settings} was asked for. Delete the folder {root}, or '
            'choose another data_root'
        )
    return root
