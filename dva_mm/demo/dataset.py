"""The demo's data set on disk: drawn birds in CUB-200-2011's layout."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from .birds import draw_bird, make_species
from .scene import HABITATS
from .things import THINGS

DRAWING = 3  # Raised whenever the same settings draw other pictures.
MARKER = 'drawn.json'
LIGHT = 0.3
SCALE = (0.3, 0.42)
CLUTTER = 4
PLACES = (
    *('Alder', 'Amber', 'Birch', 'Bramble', 'Canyon', 'Cedar', 'Clover', 'Coast', 'Dune', 'Elm'),
    *('Fen', 'Fern', 'Glen', 'Harbour', 'Heath', 'Holly', 'Island', 'Juniper', 'Linden', 'Marsh'),
    *('Moor', 'Orchard', 'Pine', 'Prairie', 'Reed', 'Ridge', 'River', 'Rowan', 'Sedge', 'Valley'),
    *('Acacia', 'Aspen', 'Bay', 'Beech', 'Briar', 'Brook', 'Cliff', 'Copse', 'Cove', 'Creek'),
    *('Cypress', 'Delta', 'Ember', 'Field', 'Fjord', 'Gorse', 'Grove', 'Hazel', 'Hill', 'Ivy'),
    *('Lagoon', 'Larch', 'Laurel', 'Maple', 'Mesa', 'Myrtle', 'Oak', 'Palm', 'Spruce', 'Willow'),
    *(
        'Agave',
        'Almond',
        'Arbour',
        'Balsam',
        'Bamboo',
        'Basin',
        'Bayou',
        'Bluff',
        'Bracken',
        'Butte',
    ),
    *('Cactus', 'Canal', 'Cape', 'Cherry', 'Clay', 'Cotton', 'Crag', 'Dale', 'Downs', 'Elder'),
    *(
        'Estuary',
        'Fig',
        'Flax',
        'Forest',
        'Garden',
        'Geyser',
        'Glacier',
        'Gulf',
        'Hedge',
        'Hemlock',
    ),
    *('Hollow', 'Hops', 'Iris', 'Jasmine', 'Jungle', 'Kelp', 'Lake', 'Lime', 'Lotus', 'Mangrove'),
    *('Meadow', 'Mint', 'Moss', 'Nettle', 'Oasis', 'Olive', 'Peak', 'Poplar', 'Quarry', 'Reef'),
    *('Sage', 'Savanna', 'Shore', 'Steppe', 'Tarn', 'Thicket', 'Thorn', 'Tundra', 'Vine', 'Walnut'),
)
_FAMILIES = dict(cone='Finch', needle='Creeper', hook='Shrike', broad='Kingfisher')


def draw_demo(
    root: str | Path,
    num_species: int = 120,
    images_per_species: int = 12,
    seed: int = 0,
    at_home: float = 0.9,
) -> Path:
    """Draw the demo birds into ``root`` in CUB-200-2011's layout, and return it as a path.

    Four things lie about in each picture. A species of the first half, on which open-set training
    learns, has a home: the share ``at_home`` of its pictures is drawn in one of ten habitats, with
    one of the things of one kind, so that the background nearly gives it away. All other
    pictures, and all of the second half's, are drawn in any habitat with any things.

    Half of each species' pictures are for training in CUB's own split. They have 160-192 x 128-160
    pixels, and the same settings give the same ones. 1,440 take some ten seconds.

    Args:
        root: Folder of the data set; see :func:`draw_once`.
        num_species: Number of classes, at most 120. Defaults to 120.
        images_per_species: Pictures of each. Defaults to 12.
        seed: Seed of every picture. Defaults to 0.
        at_home: Share, 0 to 1, of a trained species' pictures in its home. Defaults to 0.9.

    Raises:
        ValueError: If there are not so many species, or ``root`` holds something else.
    """
    root = Path(root)
    if not 1 <= num_species <= len(PLACES):
        raise ValueError(f'num_species must lie between 1 and {len(PLACES)}, got {num_species}')
    if not 0 <= at_home <= 1:
        raise ValueError(f'at_home must lie between 0 and 1, got {at_home}')
    half, species = num_species // 2, make_species(num_species)
    settings = dict(
        num_species=num_species,
        images_per_species=images_per_species,
        seed=seed,
        at_home=at_home,
    )

    def write(folder: Path, numbers: Iterable[int]) -> None:
        names = [
            f'{i + 1:03d}.{PLACES[i]}_{_FAMILIES[bird.beak]}' for i, bird in enumerate(species)
        ]
        tables = dict(images='', image_class_labels='', train_test_split='', bounding_boxes='')
        for number in numbers:
            label, index = divmod(number, images_per_species)
            rng = np.random.default_rng((seed, label, index))
            size = (int(rng.integers(160, 193)), int(rng.integers(128, 161)))
            home = label < half and rng.random() < at_home
            habitat = HABITATS[label % len(HABITATS)] if home else None
            things = rng.integers(len(THINGS), size=CLUTTER)
            if home:  # a kind has four variants, side by side
                things[0] = (4 * label + things[0] % 4) % len(THINGS)
            drawing = draw_bird(
                species[label],
                rng,
                size,
                SCALE,
                habitat=habitat,
                light=LIGHT,
                things=[THINGS[i] for i in things],
            )
            file = f'{names[label]}/{names[label][4:]}_{index + 1:04d}.jpg'
            save_picture(folder / 'images' / file, drawing.picture)
            box = ' '.join(f'{value:.1f}' for value in drawing.box)
            rows = (file, label + 1, int(index % 2 == 0), box)
            for name, value in zip(tables, rows, strict=True):
                tables[name] += f'{number + 1} {value}\n'
        tables['classes'] = ''.join(f'{i + 1} {name}\n' for i, name in enumerate(names))
        for name, text in tables.items():
            (folder / f'{name}.txt').write_text(text)

    return draw_once(root, 'birds', num_species * images_per_species, settings, write)


def draw_once(
    root: str | Path,
    kind: str,
    count: int,
    settings: dict[str, float],
    write: Callable[[Path, Iterable[int]], None],
) -> Path:
    """Draw a data set into ``root``, unless it is there already; a bar shows the progress.

    The folder appears complete or not at all; when several processes draw at once, the first to
    finish wins and the others use its folder. A killed process leaves a folder ``.NAME.*`` beside
    it, which may be deleted.

    Args:
        root: Folder of the data set.
        kind: What is drawn; kept with ``settings``, all that the pictures depend on.
        count: Number of pictures.
        write: Fills a folder, drawing the pictures of these numbers, 0 to ``count`` - 1.

    Raises:
        ValueError: If ``root`` holds something else, or a set drawn with other settings.
    """
    root, settings = Path(root), dict(kind=kind, drawing=DRAWING, **settings)
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        print_log(f'Drawing {count} pictures into {root} (once)', logger='current')
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.') as scratch:
            folder = Path(scratch) / 'set'
            folder.mkdir()
            write(folder, tqdm(range(count), desc=f'Drawing {kind}', unit='picture', mininterval=1))
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


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG; OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f'{path} could not be written')
