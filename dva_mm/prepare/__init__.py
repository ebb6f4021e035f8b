"""Get a data set from its official source and check what is there."""

from .check import Report, check_data
from .download import download_file, verify
from .prepare import fetch, prepare_data, train_command
from .sources import SOURCES, File, Source
from .unpack import Limits, UnsafeArchiveError, unpack_archive

__all__ = [
    'SOURCES',
    'File',
    'Limits',
    'Report',
    'Source',
    'UnsafeArchiveError',
    'check_data',
    'download_file',
    'fetch',
    'prepare_data',
    'train_command',
    'unpack_archive',
    'verify',
]
