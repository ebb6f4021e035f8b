"""What of the log is shown on the screen; the file of a run has all of it."""

import logging
import os
import sys
from typing import TextIO

from tqdm import tqdm

_NOISE = ('Distributed training is not used', '"FileClient"', '"HardDiskBackend"')


def allow_shared_gpus() -> None:
    """Let MMEngine's loggers start in a process whose local rank is beyond the GPUs.

    They look the rank up in CUDA_VISIBLE_DEVICES; -1 ends CUDA's own reading of that list, so it
    may stand in the places that are missing.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    rank = int(os.environ.get('LOCAL_RANK', 0))
    if 0 < gpus <= rank:
        visible = os.environ.get('CUDA_VISIBLE_DEVICES') or ','.join(map(str, range(gpus)))
        names = visible.split(',')
        os.environ['CUDA_VISIBLE_DEVICES'] = ','.join(names + ['-1'] * (rank + 1 - len(names)))


def quieten(logger: logging.Logger) -> logging.Logger:
    """Let the logger's streams show :func:`is_for_screen`'s part alone; its files keep all.

    A stream that was closed, as a notebook's may be, gives way to standard output.
    """
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(is_for_screen)
            if getattr(handler.stream, 'closed', False):
                handler.stream = sys.stdout
            if not isinstance(handler.stream, AboveBars):
                handler.setStream(AboveBars(handler.stream))
    return logger


class AboveBars:
    """A text stream that writes above tqdm's progress bars instead of into them.

    Args:
        stream: Where the text goes.

    >>> import sys
    >>> _ = AboveBars(sys.stdout).write('one line\\n')
    one line
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Clear the bars, write the text, and draw the bars again."""
        tqdm.write(text, file=self.stream, end='')

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()

    @property
    def closed(self) -> bool:
        """Whether the stream is closed."""
        return getattr(self.stream, 'closed', False)


def is_for_screen(record: logging.LogRecord) -> bool:
    """Keep warnings, errors, and what says its word in one line.

    Reports of the environment, the config, the hooks and each initialised weight have several.

    >>> is_for_screen(logging.makeLogRecord(dict(msg='Config:\\nmodel = ...', levelno=20)))
    False
    """
    text = record.getMessage().strip()
    return not text.startswith(_NOISE) and (record.levelno > logging.INFO or '\n' not in text)
