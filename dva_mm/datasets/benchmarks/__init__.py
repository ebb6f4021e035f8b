"""One pure function a data set format: root -> images and classes."""

from collections.abc import Callable
from pathlib import Path

from ..record import Benchmark, Reading, Record
from .aircraft import read_aircraft
from .cars import read_cars
from .cub import read_cub
from .demo_birds import read_demo_birds
from .dogs import read_dogs
from .flowers import read_flowers
from .folder import IMAGE_SUFFIXES, read_csv, read_folder
from .inaturalist import read_inaturalist
from .inshop import read_inshop
from .nabirds import read_nabirds
from .pets import read_pets
from .sop import read_sop

__all__ = [
    'BENCHMARKS',
    'IMAGE_SUFFIXES',
    'READERS',
    'Reading',
    'Record',
    'read_aircraft',
    'read_cars',
    'read_csv',
    'read_cub',
    'read_demo_birds',
    'read_dogs',
    'read_flowers',
    'read_folder',
    'read_inaturalist',
    'read_inshop',
    'read_nabirds',
    'read_pets',
    'read_sop',
]

READERS: dict[str, Callable[[str | Path], Reading]] = {
    'cub': read_cub,
    'cars': read_cars,
    'dogs': read_dogs,
    'aircraft': read_aircraft,
    'nabirds': read_nabirds,
    'flowers': read_flowers,
    'pets': read_pets,
    'sop': read_sop,
    'inshop': read_inshop,
    'inaturalist': read_inaturalist,
    'inaturalist2018': read_inaturalist,
    'folder': read_folder,
    'csv': read_csv,
    'demo_birds': read_demo_birds,
}
"""Reader by the name that FineGrainedDataset's ``reader`` takes.

'inaturalist2018' is 'inaturalist' whose numbers are checked against the published ones of 2018.
"""

BENCHMARKS: dict[str, Benchmark] = {name: Benchmark(read) for name, read in READERS.items()}
"""Data set by the name that FineGrainedDataset's ``reader`` takes."""
