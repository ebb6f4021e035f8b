"""Which patch tokens are the object's and which the background's."""

import random

import numpy as np
import pytest
import torch

from dva_mm.datasets import TokenOPA
from dva_mm.datasets.token_opa import draw_patches, patch_distances

RESIZE = [dict(type='mmcv.Resize', scale=(40, 40))]


def test_distances_are_those_of_the_patches_centres():
    found = patch_distances((3, 10, 23, 18), 24, 32, patch_size=8)
    wanted = []
    for row in range(3):
        for column in range(4):
            x, y = 8 * column + 4, 8 * row + 4
            smallest = None
            for s in np.arange(0, 8, 0.05):  # enlarge the box until it holds the centre
                grown = (13 - 10 * s, 14 - 4 * s, 13 + 10 * s, 14 + 4 * s)
                if grown[0] <= x <= grown[2] and grown[1] <= y <= grown[3]:
                    smallest = s
                    break
            wanted.append(smallest)
    np.testing.assert_allclose(found, wanted, atol=0.051)


def test_patches_are_drawn_from_the_enlarged_box_and_from_outside_of_the_box():
    distances = np.array([0.0, 0.4, 0.8, 1.2, 1.5, 2.0, 3.0])
    seen = {True: set(), False: set()}
    for seed in range(60):
        random.seed(seed)
        objects, background = draw_patches(distances, count=2, scale=1.3)
        for chosen in (objects, background):
            assert len(set(chosen)) == 2 and chosen == sorted(chosen)
        seen[True] |= set(objects)
        seen[False] |= set(background)
    assert seen == {True: {0, 1, 2, 3}, False: {3, 4, 5, 6}}


def test_a_small_object_takes_its_nearest_patches_and_a_small_background_repeats():
    distances = np.array([0.5, 9.0, 1.4, 3.0, 0.9])
    assert draw_patches(distances, count=4, scale=1.0)[0] == [0, 2, 3, 4]
    _, background = draw_patches(np.array([0.1, 0.2, 1.1, 0.3, 1.2]), count=4)
    assert set(background) == {2, 4} and len(background) == 4
    assert draw_patches(np.array([0.1, 0.9]), count=1)[1] == []


def made(image: np.ndarray, box: object, seed: int, **options: object) -> dict:
    random.seed(seed)
    return TokenOPA(size=32, patch_size=4, **options)(dict(img=image, box=box))


def test_the_chosen_patches_show_the_object_and_the_rest():
    """Through resize, crop and mirror: the object's pixels are white."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[15:45, 10:40] = 255
    mirrored = set()
    for seed in range(12):
        out = made(image, (10, 15, 40, 45), seed, resize=RESIZE, share=0.2, scale=1.0)
        grid = out['img'][..., 0].reshape(8, 4, 8, 4).transpose(0, 2, 1, 3).reshape(64, 16)
        white = grid.mean(axis=1) / 255
        assert out['has_background'] and out['patch_grid'] == (8, 8)
        assert out['object_patches'].dtype == torch.int64 and len(out['object_patches']) == 13
        assert (white[out['object_patches']] >= 0.25).all()
        assert (white[out['background_patches']] <= 0.75).all()
        assert white[out['object_patches']].mean() > 0.6
        assert white[out['background_patches']].mean() < 0.4
        mirrored.add(white.reshape(8, 8)[:, :4].mean() > white.reshape(8, 8)[:, 4:].mean())
    assert mirrored == {True, False}


@pytest.mark.parametrize('box', [None, (0, 0, 0, 5), (90, 90, 95, 95), (float('nan'), 0, 5, 5)])
def test_without_a_box_all_patches_are_the_objects_and_there_is_no_background(box: object):
    image = np.zeros((40, 40, 3), np.uint8)
    outs = [made(image, box, seed, share=0.25) for seed in range(20)]
    assert {len(out['object_patches']) for out in outs} == {16}
    assert not any(out['has_background'] for out in outs)
    assert len({int(place) for out in outs for place in out['object_patches']}) == 64
    assert torch.equal(outs[0]['object_patches'], outs[0]['background_patches'])


def test_a_box_that_the_crop_cuts_off_is_no_box():
    image = np.zeros((40, 40, 3), np.uint8)
    outs = [made(image, (0, 0, 4, 40), seed, prob=0.0) for seed in range(40)]
    assert {out['has_background'] for out in outs} == {True, False}


@pytest.mark.parametrize(
    ('options', 'value'),
    [
        (dict(size=30, patch_size=16), '30'),
        (dict(size=32, share=0.0), '0.0'),
        (dict(size=32, scale=0.5), '0.5'),
        (dict(size=32, patch_size=0), '0'),
    ],
)
def test_a_wrong_option_is_refused(options: dict, value: str):
    with pytest.raises(ValueError, match=value):
        TokenOPA(**options)
