"""Maps to boxes: regions found by a flood fill, and a picture whose object is known."""

from itertools import product

import numpy as np
import pytest
import torch
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch import Tensor

from dva_mm.detection.map_detector import MapDetector, Square, map_box
from dva_mm.models import FrozenViT

RGB = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 4.0], to_rgb=True)


def naive_box(grid: np.ndarray, width: int, height: int, keep: float) -> tuple:
    """Highest cells first until they hold the share; flood fill; the largest region's edges."""
    rows, columns = grid.shape
    cells = sorted(product(range(rows), range(columns)), key=lambda cell: -grid[cell])
    total, kept = 0.0, set()
    for cell in cells:
        kept.add(cell)
        total += grid[cell] / grid.sum()
        if total > keep:
            break
    regions = []
    while kept:
        region, open_cells = set(), [kept.pop()]
        while open_cells:
            i, j = open_cells.pop()
            region.add((i, j))
            for near in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if near in kept:
                    kept.remove(near)
                    open_cells.append(near)
        regions.append(region)
    best = max(regions, key=lambda region: (len(region), sum(grid[cell] for cell in region)))
    ys, xs = [i for i, _ in best], [j for _, j in best]
    box = (
        min(xs) / columns * width,
        min(ys) / rows * height,
        (max(xs) + 1) / columns * width,
        (max(ys) + 1) / rows * height,
    )
    return box, sum(grid[cell] for cell in best) / grid.sum()


def naive_median(grid: np.ndarray) -> np.ndarray:
    """3 x 3, the edges repeated outwards."""
    padded = np.pad(grid, 1, mode='edge')
    smooth = np.zeros_like(grid)
    for i, j in np.ndindex(*grid.shape):
        smooth[i, j] = np.median(padded[i : i + 3, j : j + 3])
    return smooth


@pytest.mark.parametrize('smooth', [False, True])
@pytest.mark.parametrize('keep', [0.1, 0.4, 0.7, 0.95])
def test_a_box_is_the_flood_fills(keep: float, smooth: bool):
    rng = np.random.default_rng(0)
    for shape in ((5, 5), (4, 7), (9, 6)):
        for _ in range(5):
            grid = rng.random(shape, dtype=np.float32) ** 3
            box, score = map_box(grid, 300, 200, keep, smooth=smooth)
            by_hand = naive_box(naive_median(grid) if smooth else grid, 300, 200, keep)
            assert box == pytest.approx(by_hand[0])
            assert score == pytest.approx(by_hand[1], rel=1e-5)


def test_the_rows_are_the_height():
    grid = np.zeros((4, 5), dtype=np.float32)
    grid[1:3, 3] = 1
    assert map_box(grid, 100, 40, 0.9, smooth=False) == ((60, 10, 80, 30), 1)


def test_the_larger_region_wins_over_the_hotter_one():
    grid = np.zeros((6, 6), dtype=np.float32)
    grid[0, 0] = 9
    grid[3:5, 2:4] = 1
    box, score = map_box(grid, 6, 6, 0.95, smooth=False)
    assert box == (2, 3, 4, 5)
    assert score == pytest.approx(4 / 13)


def test_of_equally_large_regions_the_hotter_one_wins():
    grid = np.zeros((5, 5), dtype=np.float32)
    grid[0, 0:2], grid[4, 3:5] = 1, 1.5
    assert map_box(grid, 5, 5, 0.9, smooth=False)[0] == (3, 4, 5, 5)


def test_regions_do_not_join_over_a_corner():
    grid = np.zeros((4, 4), dtype=np.float32)
    grid[0, 0] = grid[1, 1] = grid[1, 2] = 1
    assert map_box(grid, 4, 4, 0.9, smooth=False)[0] == (1, 1, 3, 2)


def test_single_hot_cells_are_taken_away_unless_there_is_nothing_else():
    grid = np.full((6, 6), 0.01, dtype=np.float32)
    grid[1:4, 1:4] = 1
    grid[5, 5] = 50
    assert map_box(grid, 6, 6, 0.9)[0] == (1, 1, 4, 4)
    assert map_box(grid, 6, 6, 0.5, smooth=False)[0] == (5, 5, 6, 6)
    grid[:5] = 0
    grid[5, :5] = 0
    assert map_box(grid, 6, 6, 0.5)[0] == (5, 5, 6, 6)


@pytest.mark.parametrize('keep', [0, 1, -0.1, float('nan')])
def test_a_share_out_of_range_is_refused(keep: float):
    with pytest.raises(ValueError, match=f'keep is a share .* between 0 and 1, got {keep}'):
        map_box(np.ones((2, 2)), 2, 2, keep)


@pytest.mark.parametrize('value', [0.0, -1.0, float('nan'), float('inf')])
def test_a_map_without_meaning_is_refused(value: float):
    grid = np.zeros((3, 3))
    grid[1, 1] = value
    with pytest.raises(ValueError, match='a map needs finite values from 0 on'):
        map_box(grid, 3, 3, 0.5)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_encoder_sees_the_square_image_as_in_training(to_rgb: bool):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)  # B, G, R
    seen = {}

    def saliency(encoder: FrozenViT, images: Tensor) -> Tensor:
        seen['images'] = images
        return torch.ones(len(images), 4, 4)

    options = {**RGB, 'to_rgb': to_rgb}
    encoder = FrozenViT('test_vit', pretrained=False, img_size=32, ica=None)
    detector = MapDetector('x', encoder, options, saliency, keep=0.9, options={})
    image = detector.prepare(Image.fromarray(pixels[..., ::-1]))
    (found,) = detector.detect([image], [(50, 30)])
    resize = dict(type='Resize', scale=(32, 32), backend='pillow', interpolation='bicubic')
    expected = TRANSFORMS.build(resize)(dict(img=pixels))['img']
    expected = torch.from_numpy(np.ascontiguousarray(expected)).permute(2, 0, 1).float()
    expected = expected.flip(0) if to_rgb else expected
    mean, std = (torch.tensor(RGB[name])[:, None, None] for name in ('mean', 'std'))
    torch.testing.assert_close(seen['images'][0], (expected - mean) / std)
    assert found.box == (0, 0, 50, 30)


def test_the_map_is_cut_to_each_images_own_size():
    grid = torch.zeros(2, 4, 4)
    grid[0, 1, 2:], grid[1, 3, 0] = 1, 1
    encoder = FrozenViT('test_vit', pretrained=False, img_size=32, ica=None)
    detector = MapDetector('x', encoder, RGB, lambda *args: grid, keep=0.9, options=dict(a=1))
    images = [Square(32)(Image.new('RGB', size)) for size in ((40, 20), (8, 80))]
    found = detector.detect(images, [(40, 20), (8, 80)])
    assert [detection.box for detection in found] == [(20, 5, 40, 10), (0, 60, 2, 80)]
    assert detector.options['a'] == 1 and detector.options['keep'] == 0.9
    assert detector.options['encoder']['fingerprint'] == encoder.encoder_info()['fingerprint']


def test_a_detector_refuses_a_share_before_any_work():
    encoder = FrozenViT('test_vit', pretrained=False, img_size=32, ica=None)
    with pytest.raises(ValueError, match='keep is a share'):
        MapDetector('x', encoder, RGB, lambda *args: None, keep=60, options={})
