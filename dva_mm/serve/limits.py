"""How much a visitor may ask for."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of a page.

    >>> Limits(rate=0).upload_bytes
    20000000
    """

    upload_bytes: int = 20_000_000
    """Most bytes of an uploaded picture."""
    pixels: int = 50_000_000
    """Most pixels of an uploaded picture, read from its header."""
    rate: int = 120
    """Most uploads and questions of one address in a minute; 0: any number."""
    waiting: int = 32
    """Most questions that wait for the model; more are refused."""
    hits: int = 100
    """Most hits of a question."""
    uploads: int = 100
    """Uploaded pictures that are kept; the oldest goes first."""


class Rate:
    """A token bucket for each address: it holds a minute's requests, and refills evenly.

    Args:
        limit: Requests a minute; 0: any number.
        clock: Gives seconds. Defaults to ``time.monotonic``.

    >>> rate = Rate(2, clock=lambda: 0.0)
    >>> [rate.wait('a'), rate.wait('a'), rate.wait('a'), rate.wait('b')]
    [0.0, 0.0, 30.0, 0.0]
    """

    MOST = 10_000  # addresses that are remembered

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.clock = limit, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # requests left, at what time
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Take a request; returns 0, or the seconds until there is one where there is none."""
        if not self.limit:
            return 0.0
        now, each = self.clock(), 60 / self.limit
        with self._lock:
            left, then = self._buckets.get(address, (self.limit, now))
            left = min(self.limit, left + (now - then) / each)
            taken = left >= 1
            self._buckets[address] = (left - taken, now)
            if len(self._buckets) > self.MOST:  # who was silent for a minute has a full one anyway
                recent = {a: b for a, b in self._buckets.items() if now - b[1] < 60}
                self._buckets = recent if len(recent) <= self.MOST else {}
        return 0.0 if taken else (1 - left) * each
