"""What a retriever can embed: files, folders, pictures in memory, data sets."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.ppm', '.tif', '.tiff', '.gif', '.avif')
"""Endings of the files that a folder's images have; letters of either case."""
CHUNK = 4096
"""So many pictures of a generator are held at a time."""


class ImageBatch(NamedTuple):
    """A batch as the loader's workers make it."""

    rows: list[int]
    """Places of the readable images in the order given."""
    pixels: Tensor | None
    """Their pixels, (B, 3, H, W) uint8; None of a batch without a readable image."""
    failures: list[tuple[int, str]]
    """Place and reason of each image that cannot be read."""


def find_images(folder: str | Path, unreadable: list[tuple[str, str]] | None = None) -> list[str]:
    """The image files below a folder, sorted by path.

    Hidden files and folders, macOS's ``__MACOSX`` and folders behind links are passed over.

    Args:
        folder: Searched with all its sub-folders.
        unreadable: Takes the name and the reason of each sub-folder that cannot be read. Defaults
            to None: that is raised.

    Raises:
        FileNotFoundError: If the folder does not exist.
        OSError: If a sub-folder cannot be read.

    >>> import tempfile
    >>> find_images(tempfile.mkdtemp())
    []
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f'there is no folder of images {root.absolute()}')

    def report(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):  # it vanished just now
            return
        if unreadable is None:
            raise error
        unreadable.append((os.fsdecode(error.filename), str(error)))

    found = []
    for parent, folders, files in os.walk(root, onerror=report):
        folders[:] = [name for name in folders if name[0] != '.' and name != '__MACOSX']
        names = (name for name in files if name[0] != '.')
        found += [os.path.join(parent, name) for name in names if name.lower().endswith(SUFFIXES)]
    return sorted(found)


def as_images(images: Any) -> Any:
    """What :meth:`Retriever.encode` takes, as a sequence, an iterable or a data set.

    >>> as_images('bird.jpg')
    ['bird.jpg']
    """
    if isinstance(images, str | os.PathLike):
        return find_images(images) if os.path.isdir(images) else [images]
    if isinstance(images, Dataset | list | tuple):
        return images
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images)
    if isinstance(images, Iterable) and not isinstance(images, np.ndarray):
        return images
    return [images]


def name_of(image: Any, row: int) -> str:
    """What an error calls an image."""
    return os.fsdecode(image) if isinstance(image, str | bytes | os.PathLike) else f'image {row}'


class Pictures(Dataset):
    """Images behind a test pipeline: each item is pixels (3, H, W) uint8, or why there are none.

    Args:
        images: Paths, PIL images, arrays (H, W, 3) RGB uint8 or (H, W) grey, in any mixture.
        load: Transform that reads ``img`` from ``img_path``.
        transforms: The transforms after it, ending in ``PackInputs``.
    """

    def __init__(self, images: Sequence[Any], load: Compose, transforms: Compose) -> None:
        self.images, self.load, self.transforms = images, load, transforms

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[int, Tensor | str]:
        image = self.images[row]
        try:
            results = self._open(image, row)
            return row, self.transforms(results)['inputs']
        except Exception as error:  # decoders raise nearly anything
            return row, str(error) or type(error).__name__

    def _open(self, image: Any, row: int) -> dict:
        if isinstance(image, str | bytes | os.PathLike):
            path = os.fsdecode(image)
            if not os.path.isfile(path):
                raise FileNotFoundError(f'there is no file {path}')
            return self.load(dict(img_path=path, sample_idx=row))
        pixels = to_bgr(image)
        shape = pixels.shape[:2]
        return dict(img=pixels, img_shape=shape, ori_shape=shape, img_path=None, sample_idx=row)


def to_bgr(image: Image.Image | np.ndarray) -> np.ndarray:
    """A picture in memory as the loader gives a file's: (H, W, 3) uint8 BGR.

    Args:
        image: A PIL image, or an array (H, W, 3) RGB or (H, W) grey, uint8.

    Raises:
        TypeError: If it is neither.
        ValueError: If the array has another shape or type.

    >>> to_bgr(np.array([[[1, 2, 3]]], dtype=np.uint8)).tolist()
    [[[3, 2, 1]]]
    """
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert('RGB'))
    if not isinstance(image, np.ndarray):
        raise TypeError(f'expected a path, a PIL image or an array, got {type(image).__name__}')
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f'expected an array (H, W, 3) RGB or (H, W) of uint8, got {image.shape} '
            f'of {image.dtype}'
        )
    return np.ascontiguousarray(image[..., ::-1])


def collate(items: list[tuple[int, Tensor | str]]) -> ImageBatch:
    """Stack what is readable; keep the reasons of the rest."""
    good = [(row, pixels) for row, pixels in items if not isinstance(pixels, str)]
    failures = [(row, reason) for row, reason in items if isinstance(reason, str)]
    pixels = torch.stack([pixels for _, pixels in good]) if good else None
    return ImageBatch([row for row, _ in good], pixels, failures)


def load_batches(
    images: Sequence[Any], load: Compose, transforms: Compose, batch_size: int, workers: int
) -> Iterator[ImageBatch]:
    """Batches of a sequence, decoded in ``workers`` processes (0: in this one), in order."""
    loader = DataLoader(
        Pictures(images, load, transforms),
        batch_size=batch_size,
        num_workers=min(workers, -(-len(images) // batch_size)),
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader


def dataset_batches(dataset: Dataset, batch_size: int, workers: int) -> Iterator[ImageBatch]:
    """Batches of MMEngine's data set, through its own pipeline; what is unreadable is raised."""
    loader = Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
            collate_fn=dict(type='default_collate'),
        )
    )
    start = 0
    for batch in loader:
        pixels = batch['inputs']
        yield ImageBatch(list(range(start, start + len(pixels))), pixels, [])
        start += len(pixels)


def chunks(images: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Cut an iterable into lists of at most ``CHUNK``; gives each list's first place."""
    iterator, start = iter(images), 0
    while chunk := list(islice(iterator, CHUNK)):
        yield start, chunk
        start += len(chunk)
