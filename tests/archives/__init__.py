"""Tiny data sets in the official format of each archive; CUB's is ``tiny_data.write_cub``.

The pictures and boxes are ``tiny_data.picture(label % 10, index)``. Where the archive has an
official split, the first half of each class's images trains; where the classes are split (Stanford
Online Products, In-Shop), the first half of the classes does.
"""

from .matlab import write_cars_devkit, write_cars_single, write_dogs, write_flowers
from .tables import write_csv, write_inaturalist
from .text import write_aircraft, write_inshop, write_nabirds, write_pets, write_sop

__all__ = [
    'write_aircraft',
    'write_cars_devkit',
    'write_cars_single',
    'write_csv',
    'write_dogs',
    'write_flowers',
    'write_inaturalist',
    'write_inshop',
    'write_nabirds',
    'write_pets',
    'write_sop',
]
