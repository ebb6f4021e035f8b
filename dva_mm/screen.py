"""What of the log is shown on the screen; the file of a run has all of it."""

import logging
import sys
from typing import TextIO

from tqdm import tqdm

_NOISE = ('Distributed training is not used', '"FileClient"', '"HardDiskBackend"')


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
