"""What a source of boxes looks like to the loop over the images, and how one is chosen."""

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mmpretrain.registry import TASK_UTILS


class Detection(NamedTuple):
    """The object of an image.

    >>> Detection((1, 2, 9, 8), score=0.5).box
    (1, 2, 9, 8)
    """

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels."""
    score: float
    """Higher is surer, at most 1."""


class BoxSource(Protocol):
    """A source finds at most one box an image. It is registered in mmpretrain's TASK_UTILS.

    Its options are the constructor's; the command gives those of :data:`GIVEN`: the configs of
    ``encoder`` and ``data_preprocessor``, the annotated ``records``, and the ``device``.
    """

    source: str
    """Name of the source in the file of boxes; known to the class."""
    batch_size: int
    """Images a forward; a class without it takes 32."""
    options: dict
    """What decides on the boxes, as plain JSON values."""

    def prepare(self, path: Path) -> Any:
        """Read an image file to an input; runs in the loader's worker processes."""
        ...

    def detect(
        self, inputs: Sequence[Any], sizes: Sequence[tuple[int, int]]
    ) -> list[Detection | None]:
        """Boxes of a batch of images of these (width, height); None where there is no object."""
        ...


GIVEN = ('encoder', 'data_preprocessor', 'records', 'device')


def find_source(detector: dict) -> type[BoxSource]:
    """The registered class of ``detector['type']``; its other entries are checked to be options.

    Raises:
        ValueError: If there is no such source, or an option is unknown or missing.

    >>> find_source(dict(type='PatchPCA', keep=0.9)).source
    'patch-pca'
    >>> find_source(dict(type='PatchPCI'))
    Traceback (most recent call last):
        ...
    ValueError: --detector type=PatchPCI is no source of boxes; did you mean PatchPCA?
    """
    from . import sources  # noqa: F401  registers them

    name = detector.get('type')
    found = TASK_UTILS.get(str(name))
    if not _is_source(found):
        known = sorted(key for key, each in TASK_UTILS.module_dict.items() if _is_source(each))
        raise ValueError(f'--detector type={name} is no source of boxes{_nearest(name, known)}')
    parameters = inspect.signature(found).parameters
    own = {key: each.default for key, each in parameters.items() if key not in GIVEN}
    for option in sorted(detector.keys() - {'type', *parameters}):
        raise ValueError(
            f'--detector type={name} has no option {option}{_nearest(option, list(own))}'
        )
    for option, default in own.items():
        if default is inspect.Parameter.empty and option not in detector:
            raise ValueError(f'--detector type={name} needs {option}=...')
    return found


def build_source(detector: dict, **given: Any) -> BoxSource:
    """Build a source; of what is given it gets what its constructor asks for.

    Raises:
        ValueError: As :func:`find_source` and the source's constructor.

    >>> build_source(dict(type='AnnotationBoxes'), records=[], device='cpu').source
    'annotation'
    """
    parameters = inspect.signature(find_source(detector)).parameters
    asked = {key: value for key, value in given.items() if key in parameters}
    return TASK_UTILS.build({**asked, **detector})


def _nearest(name: object, known: list[str]) -> str:
    near = get_close_matches(str(name), known, n=1, cutoff=0.5) or known
    return f'; did you mean {" or ".join(near)}?' if near else ''


def _is_source(component: Any) -> bool:
    return isinstance(getattr(component, 'source', None), str)
