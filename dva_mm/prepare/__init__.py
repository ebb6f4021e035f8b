"""Get a data set from its official source and check what is there."""

from .benchmark import prepare_benchmark, train_command
from .check import Report, check_data
from .download import download_file, verify
from .unpack import UnsafeArchiveError, unpack_archive

__all__ = [
    'Report',
    'UnsafeArchiveError',
    'check_data',
    'download_file',
    'prepare_benchmark',
    'train_command',
    'unpack_archive',
    'verify',
]
