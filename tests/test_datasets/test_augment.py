import random

import numpy as np
import pytest

from dva_mm.datasets import RandomCropFlip

IMAGE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def views(prob: float, draws: int = 400) -> list[np.ndarray]:
    transform = RandomCropFlip(size=4, prob=prob)
    random.seed(0)
    return [transform(dict(img=IMAGE))['img'] for _ in range(draws)]


def place(view: np.ndarray) -> tuple[int, int, bool] | None:
    """Where a view was cut, and whether it was mirrored, by looking everywhere."""
    for top in range(3):
        for left in range(5):
            part = IMAGE[top : top + 4, left : left + 4]
            for mirrored in (False, True):
                if np.array_equal(view, part[:, ::-1] if mirrored else part):
                    return top, left, mirrored
    return None


def test_every_square_and_both_directions_are_drawn_about_equally():
    found = [place(view) for view in views(prob=0.5)]
    assert set(found) == {(t, le, m) for t in range(3) for le in range(5) for m in (False, True)}
    assert 150 < sum(mirrored for _, _, mirrored in found) < 250
    for prob in (0.0, 1.0):
        some = views(prob, draws=30)
        assert {place(view)[2] for view in some} == {bool(prob)}
        assert all(view.flags['C_CONTIGUOUS'] for view in some)


def test_what_else_is_known_of_the_image_stays():
    transform = RandomCropFlip(size=6)
    out = transform(dict(img=IMAGE, img_path='a.jpg', img_shape=(6, 8), gt_label=3))
    assert out['img'].shape == (6, 6, 3) and out['img_shape'] == (6, 6)
    assert out['img_path'] == 'a.jpg' and out['gt_label'] == 3


def test_mistakes_are_named():
    for options, named in ((dict(size=0), 'size .*0'), (dict(size=4, prob=2), 'prob .*2')):
        with pytest.raises(ValueError, match=named):
            RandomCropFlip(**options)
    with pytest.raises(ValueError, match='a.jpg'):
        RandomCropFlip(size=7)(dict(img=IMAGE, img_path='a.jpg'))


def test_a_box_follows_the_square_and_the_mirror():
    """The pixels in the box, before and after, are the same ones."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[6:9, 12:17] = 255
    for seed in range(20):
        random.seed(seed)
        out = RandomCropFlip(size=18)(dict(img=image, box=(12, 6, 17, 9)))
        drawn = np.zeros((18, 18), bool)
        x1, y1, x2, y2 = (max(0, int(value)) for value in out['box'])
        drawn[y1:y2, x1:x2] = True
        assert np.array_equal(drawn, out['img'][..., 0] > 0)
    assert RandomCropFlip(size=18)(dict(img=image, box=None))['box'] is None
