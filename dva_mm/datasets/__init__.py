from .augment import RandomCropFlip
from .benchmarks import BENCHMARKS
from .box_file import load_box_file
from .boxes import CenterBox, clip_box, scale_box
from .fine_grained import FineGrainedDataset
from .image import LoadImage, image_size, read_image
from .image_cache import ImageCache
from .opa import OPA, background_view, discriminative_view
from .protocols import select_closed, select_open, select_side
from .record import Benchmark, File, Published, Reading, Record, Source
from .resize import ResizeAntialiased, choose_reduction, resize_antialiased
from .samplers import FixedSetOfTriplets, HierarchicalSampler, MPerClassSampler
from .token_opa import TokenOPA

__all__ = [
    'BENCHMARKS',
    'Benchmark',
    'CenterBox',
    'File',
    'FineGrainedDataset',
    'FixedSetOfTriplets',
    'HierarchicalSampler',
    'ImageCache',
    'LoadImage',
    'MPerClassSampler',
    'OPA',
    'Published',
    'RandomCropFlip',
    'Reading',
    'Record',
    'ResizeAntialiased',
    'Source',
    'TokenOPA',
    'background_view',
    'choose_reduction',
    'clip_box',
    'discriminative_view',
    'image_size',
    'load_box_file',
    'read_image',
    'resize_antialiased',
    'scale_box',
    'select_closed',
    'select_open',
    'select_side',
]
