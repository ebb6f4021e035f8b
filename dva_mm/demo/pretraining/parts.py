"""Draws close-ups of birds' heads, bodies and tails, of birds of no species of the demo."""

from collections.abc import Collection

import cv2
import numpy as np

from dva_mm.demo.birds import BEAKS, BELLIES, COATS, CRESTS, TAILS, WINGS, Species, draw_bird

TRAITS = dict(coat=COATS, wing=WINGS, crest=CRESTS, beak=BEAKS, tail=TAILS, belly=BELLIES)
REGIONS = dict(head=('beak', 'crest'), body=('coat', 'wing', 'belly'), tail=('tail',))
"""The traits that a region of the bird shows."""


def draw_part(
    species: Species, rng: np.random.Generator, side: int, light: float
) -> tuple[np.ndarray, dict[str, str]]:
    """Draw a bird and cut out the surroundings of its head, body or tail, chosen at random.

    The cut is between half a bird and a whole one long. Returns (side, side, 3) uint8 RGB and the
    traits of the regions whose centres lie well inside it.
    """
    size = (2 * side, 2 * side)
    picture, _, centres, unit = draw_bird(species, rng, size, (0.4, 0.66), light=light)
    half = min(unit * np.exp(rng.uniform(np.log(0.5), np.log(1.4))), side - 1)
    place = centres[list(REGIONS)[rng.integers(len(REGIONS))]]
    x, y = np.clip(place + rng.uniform(-0.15, 0.15, 2) * unit, half, 2 * side - half)
    cut = picture[int(y - half) : int(y + half), int(x - half) : int(x + half)]
    shown = {
        trait: getattr(species, trait)
        for region, traits in REGIONS.items()
        if np.abs(centres[region] - (x, y)).max() < 0.8 * half
        for trait in traits
    }
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), shown


def random_bird(rng: np.random.Generator, excluded: Collection[Species]) -> Species:
    """A bird of random traits that is of none of the excluded species."""
    while True:
        bird = Species(*(kinds[rng.integers(len(kinds))] for kinds in TRAITS.values()))
        if bird not in excluded:
            return bird
