"""Each image file is decoded as training does, and damage is seen."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_data import picture

from dva_mm.prepare.images import (
    DAMAGED,
    MISSING,
    ImageFacts,
    box_fault,
    inspect_image,
    inspect_images,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), picture(0, 0)[0])
    return path


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.ppm', '.tif'])
def test_whole_and_truncated_images(tmp_path: Path, suffix: str):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), picture(0, 0)[0])
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert inspect_image(path) == ImageFacts((40, 48), digest, None)
    assert inspect_image(path, fast=True) == ImageFacts((40, 48), None, None)
    for rest in (0.5, 0.9):
        path.write_bytes(data[: int(rest * len(data))])
        assert inspect_image(path).fault.startswith(f'{DAMAGED}: ')


@pytest.mark.parametrize('fast', [False, True])
def test_unreadable_and_missing_images(path: Path, fast: bool):
    for content in (b'', b'<html>', b'\xff\xd8\xff', bytes(1000)):
        path.write_bytes(content)
        assert inspect_image(path, fast).fault.startswith(f'{DAMAGED}: ')
    assert inspect_image(path.with_name('b.jpg'), fast) == ImageFacts(fault=MISSING)
    assert inspect_image(path.parent, fast).fault.startswith(f'{DAMAGED}: ')


def test_images_are_seen_as_training_sees_them(path: Path):
    for orientation in (1, 6):  # all eight: tests/test_datasets/test_image.py
        image = Image.open(path)
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(path, exif=exif)
        size = cv2.imread(str(path)).shape[:2]
        assert inspect_image(path).size == inspect_image(path, fast=True).size == size
    # The suffix does not tell the format, and OpenCV decodes no icons.
    image.save(path, format='ICO')
    assert inspect_image(path).fault.startswith(f'{DAMAGED}: ')


def test_each_image_is_inspected_once(path: Path, tmp_path: Path):
    paths = [str(path), str(tmp_path / 'b.jpg'), str(path)]
    facts = inspect_images(paths, workers=2)
    assert facts == {name: inspect_image(name) for name in paths}
    with pytest.raises(ValueError):
        inspect_images(paths, workers=0)


NAN = float('nan')


@pytest.mark.parametrize(
    ('box', 'fault'),
    [
        ((0, 0, 48, 40), None),
        ((-1, -1, 49, 41), None),
        ((-1.1, 0, 48, 40), 'boxes over the edge'),
        ((0, 0, 48, 41.1), 'boxes over the edge'),
        ((5, 5, 5, 9), 'boxes without area'),
        ((5, 9, 9, 5), 'boxes without area'),
        ((NAN, 0, 9, 9), 'boxes without area'),
        ((48, 0, 60, 9), 'boxes outside their image'),
        ((-9, -9, 0, 0), 'boxes outside their image'),
        ((0, 0, float('inf'), 9), 'boxes outside their image'),
    ],
)
def test_box_fault(box: tuple, fault: str | None):
    assert box_fault(box, height=40, width=48) == fault
    if np.isfinite(box).all():
        x1, y1, x2, y2 = box
        assert box_fault((y1, x1, y2, x2), height=48, width=40) == fault
