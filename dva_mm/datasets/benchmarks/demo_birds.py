"""The drawn birds of the demo, in CUB-200-2011's file format."""

from pathlib import Path

from ..record import Benchmark, Reading
from .cub import read_cub


def read_demo_birds(root: str | Path) -> Reading:
    """Read the demo's birds; draw them into ``root`` the first time."""
    from dva_mm.demo import draw_demo  # the painting is needed here alone

    return read_cub(draw_demo(root))


DEMO_BIRDS = Benchmark(read_demo_birds, title='The drawn demo birds')
