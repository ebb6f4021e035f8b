"""Steps of different bins, against a search that tries everything."""

import itertools
from functools import cache

import numpy as np
import pytest

from dva_mm.datasets.samplers.steps import count_steps, draw_steps


@cache
def longest_schedule(counts: tuple[int, ...], per_step: int) -> int:
    """The most steps, by trying all choices of bins for the first step."""
    filled = [i for i, count in enumerate(counts) if count]
    lengths = [0]
    for chosen in itertools.combinations(filled, per_step):
        left = tuple(sorted(count - (i in chosen) for i, count in enumerate(counts)))
        lengths.append(1 + longest_schedule(left, per_step))
    return max(lengths)


@pytest.mark.parametrize('per_step', [1, 2, 3])
def test_the_number_of_steps_is_the_largest_there_is(per_step: int):
    for counts in itertools.combinations_with_replacement(range(5), 4):
        expected = longest_schedule(counts, per_step)
        assert count_steps(np.array(counts), per_step) == expected, counts


@pytest.mark.parametrize('seed', range(60))
def test_steps_are_all_filled_with_different_bins_and_no_item_comes_twice(seed: int):
    rng = np.random.default_rng(seed)
    per_step = int(rng.integers(1, 6))
    counts = rng.integers(0, 12, per_step + rng.integers(0, 8))
    counts[0] = rng.choice([0, 3, 60])  # a bin larger than all the others, now and then
    bins, items = draw_steps(counts, per_step, rng)
    assert bins.shape == items.shape == (count_steps(counts, per_step), per_step)
    assert all(len(set(step)) == per_step for step in bins.tolist())
    used = set(zip(bins.flat, items.flat, strict=True))
    assert len(used) == bins.size
    for bin_, held in enumerate(counts):  # the first of each bin, so that only its last rest
        numbers = sorted(item for where, item in used if where == bin_)
        assert numbers == list(range(len(numbers))) and len(numbers) <= held


def drawn_steps(counts: list[int], per_step: int) -> list[np.ndarray]:
    return [draw_steps(np.array(counts), per_step, np.random.default_rng(s))[0] for s in range(400)]


def test_what_rests_is_drawn_evenly_from_all_bins():
    used = np.mean(
        [np.bincount(bins.flat, minlength=5) for bins in drawn_steps([4, 4, 1, 1, 1], 2)], axis=0
    )
    np.testing.assert_allclose(used, np.array([4, 4, 1, 1, 1]) * 10 / 11, atol=0.1)


def test_a_large_bin_comes_as_often_early_as_late():
    first_four = [(bins[:4] == 0).sum() for bins in drawn_steps([6] + 12 * [1], 2)]
    assert np.mean(first_four) == pytest.approx(6 * 4 / 9, abs=0.12)  # unmixed: 2.4


def test_large_bins_do_not_wait_to_meet_at_the_end():
    together = [
        ({0, 1} <= set(step)) for bins in drawn_steps([4, 4] + 12 * [1], 2) for step in bins
    ]
    assert sum(together) / 400 < 1.5  # all bins equally likely, whatever they hold: 1.9
