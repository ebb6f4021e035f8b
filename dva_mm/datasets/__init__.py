from .augment import RandomCropFlip
from .benchmarks import (
    READERS,
    Reading,
    Record,
    read_aircraft,
    read_cars,
    read_csv,
    read_cub,
    read_demo_birds,
    read_dogs,
    read_flowers,
    read_folder,
    read_inaturalist,
    read_inshop,
    read_nabirds,
    read_pets,
    read_sop,
)
from .box_file import load_box_file
from .boxes import CenterBox, clip_box, scale_box
from .fine_grained import FineGrainedDataset
from .image import LoadImage, image_size, read_image
from .opa import OPA, background_view, discriminative_view
from .protocols import select_closed, select_open, select_side
from .published import PUBLISHED, Published, find_differences
from .resize import ResizeAntialiased, choose_reduction, resize_antialiased
from .samplers import FixedSetOfTriplets, HierarchicalSampler, MPerClassSampler

__all__ = [
    'CenterBox',
    'FineGrainedDataset',
    'FixedSetOfTriplets',
    'HierarchicalSampler',
    'LoadImage',
    'MPerClassSampler',
    'OPA',
    'PUBLISHED',
    'Published',
    'READERS',
    'RandomCropFlip',
    'Reading',
    'Record',
    'ResizeAntialiased',
    'background_view',
    'choose_reduction',
    'clip_box',
    'discriminative_view',
    'find_differences',
    'image_size',
    'load_box_file',
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
    'read_image',
    'resize_antialiased',
    'scale_box',
    'select_closed',
    'select_open',
    'select_side',
]
