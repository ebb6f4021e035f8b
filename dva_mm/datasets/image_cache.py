"""Decoded images in a file: the first epoch decodes and resizes them, later ones read pixels."""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from dva_mm.files import check_writable, replace_atomically

from .boxes import follow_resize
from .image import LoadImage
from .resize import ResizeAntialiased

_RECORD = struct.Struct('<16sQIIII')
"""Of one image: key, place of its first byte, H and W as kept, H and W of the file."""


class ImageCache:
    """Takes the place of a pipeline's :class:`LoadImage`: uint8 pixels at one size, kept in a file.

    The folder holds ``pixels.uint8``, which is memory-mapped, ``records.bin``, which says where
    each image lies in it, and ``settings.json``. Images are known by path, size and time of
    change, so a file that changed is decoded again. Images are added at the end under a lock:
    workers, processes and data sets may share a folder, and what an interrupted run added stays.

    Required and added keys are those of :class:`LoadImage`; ``ori_shape`` is the full image's, and
    ``box`` is scaled to the kept one.

    Args:
        folder: Where the pixels lie; made where it is absent. ``~`` is the home folder.
        scale: As of :class:`ResizeAntialiased`: length of the shorter edge, or (width, height).
        load: Loads an image that is not there yet, whole: ``reduce`` then goes by its shorter edge
            alone. Defaults to ``LoadImage()``.

    Raises:
        ValueError: If the folder cannot be written to, or its images have another scale or were
            loaded otherwise.
        OSError: If an image cannot be written; names folder and remedy.

    >>> import cv2, tempfile
    >>> file = Path(tempfile.mkdtemp()) / 'grey.png'
    >>> _ = cv2.imwrite(str(file), np.full((40, 60), 7, np.uint8))
    >>> cache = ImageCache(file.parent / 'cache', scale=(8, 6))
    >>> [cache(dict(img_path=str(file)))['img'].shape for _ in range(2)], len(cache)
    ([(6, 8, 3), (6, 8, 3)], 1)
    """

    def __init__(
        self, folder: str | Path, scale: int | Sequence[int], load: LoadImage | None = None
    ) -> None:
        self.resize = ResizeAntialiased(scale)
        self.load = load or LoadImage()
        file = check_writable(Path(folder) / 'settings.json', 'dataset.cache.folder').absolute()
        self.folder = file.parent
        self._forget()
        settings = dict(version=1, load=repr(self.load), resize=repr(self.resize))
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            if not file.exists():
                with replace_atomically(file) as partial:
                    partial.write_text(json.dumps(settings))
            elif (kept := json.loads(file.read_text())) != settings:
                raise ValueError(
                    f'{self.folder} keeps images by {kept}, and the config asks for {settings}; '
                    'choose another folder in dataset.cache.folder, or remove this one'
                )

    def __len__(self) -> int:
        """Images that are kept."""
        self._read_records()
        return len(self._records)

    def __call__(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``, and scale ``box``."""
        path = results['img_path']
        key = self._key(path)
        if key not in self._records:
            self._read_records()
        if key in self._records:
            start, height, width, *full = self._records[key]
            image = self._map(start + height * width * 3)[start : start + height * width * 3]
            image = np.array(image).reshape(height, width, 3)  # a copy, to be written to
        else:
            loaded = self.load.transform(dict(img_path=path))
            full = loaded['ori_shape']
            image = self.resize.transform(loaded)['img']
            self._add(key, image, full)
        shape, full = image.shape[:2], tuple(full)
        results.update(img=image, img_shape=shape, ori_shape=full)
        if (box := follow_resize(results.get('box'), full, shape)) is not None:
            results['box'] = np.asarray(box, np.float32)
        return results

    def check_space(self, images: int) -> None:
        """OSError where the disk cannot take as many images in all, at least of ``scale``."""
        sides = self.resize.sides
        need = max(0, images - len(self)) * 3 * sides[0] * sides[-1]
        free = shutil.disk_usage(self.folder).free
        if need > free:
            raise OSError(
                f'{self.folder} needs {need / 1e9:.2f} GB or more for {images:,} images, and has '
                f'{free / 1e9:.2f} GB free; set dataset.cache.folder to a larger disk or '
                'dataset.cache.scale to less'
            )

    def _key(self, path: str) -> bytes:
        name = path
        if self.load.backend_args is None:
            stat = os.stat(path)
            name = f'{os.path.abspath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}'
        return hashlib.blake2b(name.encode(), digest_size=16).digest()

    def _lock(self) -> FileLock:
        return FileLock(self.folder / 'lock')

    def _read_records(self) -> None:
        """Learn what others have added; half a record at the end is one that was interrupted."""
        file = self.folder / 'records.bin'
        if not file.exists():
            return
        with file.open('rb') as stream:
            stream.seek(self._read)
            content = stream.read()
        whole = len(content) // _RECORD.size * _RECORD.size
        for key, *place in _RECORD.iter_unpack(content[:whole]):
            self._records[key] = place
            self._end = place[0] + place[1] * place[2] * 3
        self._read += whole

    def _add(self, key: bytes, image: np.ndarray, full: Sequence[int]) -> None:
        try:
            with self._lock():
                self._read_records()
                if key not in self._records:
                    record = _RECORD.pack(key, self._end, *image.shape[:2], *full)
                    # The record last: without it the pixels' place is free.
                    _write(self.folder / 'pixels.uint8', self._end, image.tobytes())
                    _write(self.folder / 'records.bin', self._read, record)
        except OSError as error:
            raise OSError(
                f'{self.folder} takes no more images: {error}; make room there, set '
                'dataset.cache.folder to another disk, or leave dataset.cache out'
            ) from error

    def _map(self, end: int) -> np.memmap:
        if self._pixels is None or len(self._pixels) < end:
            self._pixels = np.memmap(self.folder / 'pixels.uint8', np.uint8, mode='r')
        return self._pixels

    def _forget(self) -> None:
        self._records: dict[bytes, list[int]] = {}
        self._read = self._end = 0  # bytes of the records read, and of the pixels that they name
        self._pixels: np.memmap | None = None

    def __getstate__(self) -> dict:
        # A worker that is spawned reads the folder itself.
        return dict(load=self.load, resize=self.resize, folder=self.folder)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._forget()

    def __repr__(self) -> str:
        return f'ImageCache({str(self.folder)!r}, scale={self.resize.sides}, load={self.load})'


def _write(file: Path, place: int, content: bytes) -> None:
    with file.open('r+b' if file.exists() else 'wb') as stream:
        stream.seek(place)
        stream.write(content)
