"""Draws close-ups of birds' heads, bodies and tails, of birds of no species of the demo."""

from collections.abc import Collection
from itertools import product

import cv2
import numpy as np

from dva_mm.demo.birds import BEAKS, BELLIES, CRESTS, TAILS, WINGS, Species, draw_bird

PARTS = (
    *(('head', dict(beak=beak, crest=crest)) for beak, crest in product(BEAKS, CRESTS)),
    *(('body', dict(wing=wing, belly=belly)) for wing, belly in product(WINGS, BELLIES)),
    *(('tail', dict(tail=tail)) for tail in TAILS),
)
"""The 36 classes of close-ups: the region shown, and the parts that are the class."""


def draw_part(region: str, species: Species, rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw a bird and cut out one region, near the middle of (side, side, 3) uint8 RGB.

    Regions are 'head' (with beak and crest), 'body' (with wing and belly) and 'tail'.
    """
    picture, _, centres, unit = draw_bird(species, rng, (2 * side, 2 * side), (0.5, 0.66))
    half = rng.uniform(0.42, 0.7) * unit
    x, y = centres[region] + rng.uniform(-0.12, 0.12, 2) * unit
    x, y = np.clip((x, y), half, 2 * side - half)
    cut = picture[int(y - half) : int(y + half), int(x - half) : int(x + half)]
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)


def random_bird(
    rng: np.random.Generator, fixed: dict[str, str], excluded: Collection[Species]
) -> Species:
    """A bird with these parts, the others at random, that is of none of the excluded species."""
    kinds = dict(wing=WINGS, crest=CRESTS, beak=BEAKS, tail=TAILS, belly=BELLIES)
    while True:
        parts = {part: values[int(rng.integers(len(values)))] for part, values in kinds.items()}
        if (bird := Species(**{**parts, **fixed})) not in excluded:
            return bird
