import base64
import io

import numpy as np
import pytest
from PIL import Image

from dva_mm.visualization.thumbnails import open_picture, thumbnail, thumbnails


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(',')[1])))


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', 'CMYK', 'I;16'])
def test_a_file_of_any_mode_becomes_a_small_rgb_picture(tmp_path, mode):
    file = tmp_path / ('a.tif' if mode in ('CMYK', 'I;16') else 'a.png')
    Image.new(mode, (300, 150)).save(file)
    picture = decoded(thumbnail(file, side=60))
    assert (picture.mode, picture.size) == ('RGB', (60, 30))


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / 'a.jpg', exif=exif)
    picture = np.asarray(open_picture(tmp_path / 'a.jpg', side=40))
    assert picture.shape == (40, 20, 3)
    assert picture[:16].mean() > 240 and picture[24:].mean() < 15


def test_a_small_picture_is_not_enlarged():
    assert open_picture(np.zeros((5, 7, 3), np.uint8), side=100).size == (7, 5)


def test_what_cannot_be_read_has_no_thumbnail(tmp_path):
    (tmp_path / 'text.jpg').write_text('no image')
    Image.new('RGB', (50, 50)).save(tmp_path / 'whole.jpg')
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'whole.jpg').read_bytes()[:300])
    files = [tmp_path / name for name in ('text.jpg', 'cut.jpg', 'gone.jpg', 'whole.jpg')]
    assert [uri is None for uri in thumbnails([*files, None])] == [True, True, True, False, True]


def test_a_file_is_shown_as_the_model_sees_it(tmp_path):
    """Pillow alone shows 16 bits as white."""
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / 'deep.png')
    shown = np.asarray(open_picture(tmp_path / 'deep.png', side=32))
    assert shown.shape == (32, 32, 3)
    assert shown[0].mean() < 10 and 120 < shown[16].mean() < 136 and shown[-1].mean() > 245
