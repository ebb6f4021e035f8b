import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile
from tiny_data import picture

from dva_mm.prepare.images import ImageFacts, box_fault, inspect_image, inspect_images


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), picture(0, 0)[0])
    return path


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.ppm'])
def test_whole_images(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), picture(0, 0)[0])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert inspect_image(path) == ImageFacts((40, 48), digest, None)
    assert inspect_image(path, fast=True) == ImageFacts((40, 48), None, None)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.ppm'])
@pytest.mark.parametrize('rest', [0.5, 0.9])
def test_truncated_images(tmp_path, suffix, rest):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), picture(0, 0)[0])
    data = path.read_bytes()
    path.write_bytes(data[: int(rest * len(data))])
    fact = inspect_image(path)
    assert fact.fault.startswith(('truncated or damaged images: ', 'unreadable images: '))
    assert suffix == '.webp' or fact.fault.startswith('truncated')


@pytest.mark.parametrize('content', [b'', b'<html>', b'\xff\xd8\xff', bytes(1000)])
@pytest.mark.parametrize('fast', [False, True])
def test_unreadable_images(path, content, fast):
    path.write_bytes(content)
    assert inspect_image(path, fast).fault.startswith('unreadable images: ')


def test_missing_images(path):
    for fast in (False, True):
        assert inspect_image(path.with_name('b.jpg'), fast) == ImageFacts(fault='missing images')
    assert inspect_image(path.parent).fault.startswith('unreadable images: ')


def test_images_that_training_cannot_decode(tmp_path):
    """Training decodes with OpenCV; the suffix does not tell the format."""
    path = tmp_path / 'a.jpg'
    Image.fromarray(picture(0, 0)[0]).save(path, format='ICO')
    assert cv2.imread(str(path)) is None
    assert inspect_image(path).fault == 'unreadable images: ICO for OpenCV'


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('fast', [False, True])
def test_the_size_is_the_one_that_training_sees(path, orientation, fast):
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    assert inspect_image(path, fast).size == cv2.imread(str(path)).shape[:2]


def test_no_pixels_are_looked_at_twice(path, tmp_path):
    other = tmp_path / 'b.jpg'
    paths = [str(path), str(other), str(path)]
    facts = inspect_images(paths, workers=2)
    assert facts == {name: inspect_image(name) for name in paths}
    assert facts[str(other)].fault == 'missing images'


def test_many_batches(path, monkeypatch):
    monkeypatch.setattr('dva_mm.prepare.images._BATCH', 2)
    paths = [str(path)] + [str(path.with_name(f'{i}.jpg')) for i in range(5)]
    facts = inspect_images(paths)
    assert [facts[p].fault for p in paths] == [None] + ['missing images'] * 5


def test_options(path, monkeypatch):
    with pytest.raises(ValueError, match='workers must be at least 1, got 0'):
        inspect_images([str(path)], workers=0)
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    with pytest.raises(RuntimeError, match='LOAD_TRUNCATED_IMAGES'):
        inspect_images([str(path)])


NAN = float('nan')


@pytest.mark.parametrize(
    ('box', 'fault'),
    [
        ((0, 0, 48, 40), None),
        ((-1, -1, 49, 41), None),
        ((-1.1, 0, 48, 40), 'boxes over the edge'),
        ((0, -1.1, 48, 40), 'boxes over the edge'),
        ((0, 0, 49.1, 40), 'boxes over the edge'),
        ((0, 0, 48, 41.1), 'boxes over the edge'),
        ((5, 5, 5, 9), 'boxes without area'),
        ((5, 9, 9, 5), 'boxes without area'),
        ((NAN, 0, 9, 9), 'boxes without area'),
        ((0, 0, 9, NAN), 'boxes without area'),
        ((48, 0, 60, 9), 'boxes outside their image'),
        ((0, 40, 9, 60), 'boxes outside their image'),
        ((-9, -9, 0, 0), 'boxes outside their image'),
        ((0, 0, float('inf'), 9), 'boxes outside their image'),
    ],
)
def test_box_fault(box, fault):
    assert box_fault(box, height=40, width=48) == fault
    if np.isfinite(box).all():
        x1, y1, x2, y2 = box
        assert box_fault((y1, x1, y2, x2), height=48, width=40) == fault
