"""Pictures of strangers: what is refused before it is decoded, and the region that is cut out."""

import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image
from serving import bomb, png, texture

from dva_mm.serve import pictures
from dva_mm.serve.pictures import cut_region, make_room, read_upload

MOST = 1_000_000


@pytest.mark.parametrize('format', ['PNG', 'BMP', 'TIFF', 'PPM', 'WEBP'])
def test_a_picture_is_read_as_it_is(format):
    image = texture(0, 1)
    content = io.BytesIO()
    Image.fromarray(image).save(content, format, lossless=True)
    np.testing.assert_array_equal(read_upload(content.getvalue(), MOST), image)


def test_a_photograph_is_turned_upright():
    image = np.zeros((16, 32, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    Image.fromarray(image).save(content, 'JPEG', exif=exif)
    assert read_upload(content.getvalue(), MOST).shape == (32, 16, 3)


def _hdr() -> bytes:
    """A format that OpenCV decodes and Pillow does not know: nothing would check its size."""
    return cv2.imencode('.hdr', np.ones((8, 8, 3), np.float32))[1].tobytes()


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (bomb(), '1 megapixels'),
        (png(Image.new('1', (1001, 1000))), '1 megapixels'),
        (png(Image.new('1', (999_000, 1))), '999000'),  # its short side would be made 256 pixels
        (_hdr(), 'PNG'),
        (b'', 'PNG'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'PNG'),
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'PNG'),
        (b'hallo', 'PNG'),
    ],
)
def test_what_is_no_picture_or_too_large_is_not_decoded(content, said, monkeypatch):
    def decode(*_, **__):
        raise AssertionError('it was decoded')

    monkeypatch.setattr(pictures, 'read_image', decode)
    with pytest.raises(ValueError, match=said):
        read_upload(content, MOST)


def test_a_damaged_picture_is_told_without_a_path():
    with pytest.raises(ValueError) as caught:
        read_upload(png(texture(0, 0))[:3000], MOST)
    assert '/' not in str(caught.value)


@pytest.mark.parametrize(
    ('box', 'rows', 'columns'),
    [
        ((0, 0, 1, 1), (0, 40), (0, 60)),
        ((0.5, 0.25, 0.75, 0.75), (10, 30), (30, 45)),
        ((-1, 0.9, 0.1, 7), (36, 40), (0, 6)),
    ],
)
def test_a_region_is_cut_and_stretched_to_a_square(box, rows, columns):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    part = image[slice(*rows), slice(*columns)]
    side = max(part.shape[:2])
    found = cut_region(image, box)
    assert found.shape == (side, side, 3)
    twin = np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.BILINEAR))
    assert np.abs(found.astype(int) - twin).max() <= 1


def test_without_a_box_the_picture_stays_and_a_large_region_gets_smaller():
    image = np.zeros((3000, 2000, 3), np.uint8)
    assert cut_region(image, None) is image
    assert cut_region(image, (0, 0, 1, 1)).shape == (1024, 1024, 3)


@pytest.mark.parametrize(
    'box',
    ['abcd', [0, 0, 1], [0, 0, 1, '1'], [True, 0, 1, 1], [0.5, 0, 0.5, 1], [2, 2, 3, 3]]
    + [[0, 0, float('nan'), 1], [0, 0, 1e308, 1e308], 7, [[0, 0, 1, 1]]],
)
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match='box'):
        cut_region(np.zeros((40, 60, 3), np.uint8), box)


def test_the_oldest_uploads_make_room(tmp_path):
    for number in range(6):
        file = tmp_path / f'hash{number % 5}' / f'{number}.png'
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, ns=(number * 10**9, number * 10**9))
    make_room(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.glob('*/*')) == [f'{n}.png' for n in range(2, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f'hash{n}' for n in (0, 2, 3, 4)]
