from .boxes import CenterBox, clip_box, scale_box
from .fine_grained import FineGrainedDataset
from .opa import OPA, background_view, discriminative_view
from .protocols import select_closed, select_open
from .readers import Record, read_cub, read_demo_birds, read_folder

__all__ = [
    'CenterBox',
    'FineGrainedDataset',
    'OPA',
    'Record',
    'background_view',
    'clip_box',
    'discriminative_view',
    'read_cub',
    'read_demo_birds',
    'read_folder',
    'scale_box',
    'select_closed',
    'select_open',
]
