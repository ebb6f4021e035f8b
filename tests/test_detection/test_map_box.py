"""Maps to boxes, against a flood fill and a contrast written out cell by cell."""

from itertools import product

import numpy as np
import pytest

from dva_mm.detection.map_box import contrast, map_box


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
    return box, {(i, j) for i in range(min(ys), max(ys) + 1) for j in range(min(xs), max(xs) + 1)}


def naive_contrast(grid: np.ndarray, cells: set) -> float:
    """1 - mean outside / mean of all, at least 0; 0 if nothing is outside."""
    outside = [float(grid[cell]) for cell in np.ndindex(*grid.shape) if cell not in cells]
    if not outside:
        return 0.0
    everywhere = [float(grid[cell]) for cell in np.ndindex(*grid.shape)]
    mean_out, mean = sum(outside) / len(outside), sum(everywhere) / len(everywhere)
    return max(0.0, 1 - mean_out / mean)


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
            by_hand, cells = naive_box(naive_median(grid) if smooth else grid, 300, 200, keep)
            assert box == pytest.approx(by_hand)
            assert score == pytest.approx(naive_contrast(grid, cells), abs=1e-6)


def test_the_larger_region_wins_of_equal_ones_the_hotter_and_corners_do_not_join():
    grid = np.zeros((6, 6), dtype=np.float32)
    grid[0, 0] = 9
    grid[3:5, 2:4] = 1
    assert map_box(grid, 6, 6, 0.95, smooth=False)[0] == (2, 3, 4, 5)
    grid = np.zeros((5, 5), dtype=np.float32)
    grid[0, 0:2], grid[4, 3:5] = 1, 1.5
    assert map_box(grid, 5, 5, 0.9, smooth=False)[0] == (3, 4, 5, 5)
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


def test_the_score_ranks_and_does_not_saturate_at_the_share():
    """A sharp object, one on a lighter background, one that fills the image."""
    scores = []
    for background in (0.0, 0.05, 0.2, 0.95):
        grid = np.full((10, 10), background, dtype=np.float32)
        grid[3:7, 3:7] = 1
        scores.append(map_box(grid, 10, 10, 0.95)[1])
    assert scores[0] == 1 and scores[-1] == 0
    assert scores == sorted(scores, reverse=True) and len(set(scores)) >= 3
    assert contrast(np.eye(3), np.zeros((3, 3), dtype=bool)) == 0  # a box beside the object


def test_a_share_out_of_range_and_a_map_without_meaning_are_refused():
    for keep in (0, 1, -0.1, float('nan')):
        with pytest.raises(ValueError, match=f'keep .*{keep}'):
            map_box(np.ones((2, 2)), 2, 2, keep)
    for value in (0.0, -1.0, float('nan'), float('inf')):
        grid = np.zeros((3, 3))
        grid[1, 1] = value
        with pytest.raises(ValueError, match='map'):
            map_box(grid, 3, 3, 0.5)
