"""What a page shows of many images: a sample of them, and their names."""

import random
from collections.abc import Sequence


def sample(count: int, limit: int, seed: int) -> list[int]:
    """At most ``limit`` of the numbers below ``count``, drawn by a seed, rising.

    >>> sample(3, 5, seed=0)
    [0, 1, 2]
    """
    return sorted(random.Random(seed).sample(range(count), min(count, limit)))


def common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that holds all paths; '' of none.

    >>> common_folder(['/a/b/c.jpg', '/a/d.jpg'])
    '/a'
    """
    import os.path

    return os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ''


def relative(path: str | None, folder: str) -> str | None:
    """A path without the folder that holds it.

    >>> relative('/a/b.jpg', '/a')
    'b.jpg'
    """
    return None if path is None else path.removeprefix(folder).lstrip('/')
