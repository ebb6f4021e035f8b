"""FixedSetOfTriplets, and drawing triplets against a search that tries everything."""

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from counted_images import Batches, default_sampler, epoch_of, flat, labels_of, triplets
from pytorch_metric_learning.miners import EmbeddingsAlreadyPackagedAsTriplets

from dva_mm.datasets.samplers import FixedSetOfTriplets
from dva_mm.datasets.samplers.triplets import count_triplets, draw_triplets


@cache
def most_triplets(counts: tuple[int, ...]) -> int:
    """The most triplets without a shared image, by trying all choices for the first."""
    best = 0
    for pair, single in itertools.permutations(range(len(counts)), 2):
        left = list(counts)
        left[pair] -= 2
        left[single] -= 1
        if min(left) >= 0:
            best = max(best, 1 + most_triplets(tuple(sorted(left))))
    return best


def draw_and_check(counts: tuple[int, ...], number: int, seed: int | tuple) -> None:
    rng = np.random.default_rng(seed)
    positive, negative = draw_triplets(np.array(counts), number, rng)
    assert len(positive) == len(negative) == number
    assert (positive != negative).all()
    spent = Counter(positive.tolist() * 2 + negative.tolist())
    assert all(spent[i] <= count for i, count in enumerate(counts)), (counts, number)


def test_triplets_are_counted_right_and_all_of_them_can_be_drawn():
    checked = 0
    for size, largest in ((1, 9), (2, 10), (3, 8), (4, 5)):
        for counts in itertools.combinations_with_replacement(range(1, largest + 1), size):
            most = count_triplets(np.array(counts))
            assert most == most_triplets(counts), counts
            for number in range(1, most + 1):
                draw_and_check(counts, number, (checked, number))
            checked += 1
    assert checked == 9 + 55 + 120 + 70


@pytest.mark.parametrize('counts', [(40, 3, 4), (9, 9), (30, 30, 1), (25, 24, 2, 2)])
def test_triplets_of_unbalanced_classes(counts: tuple[int, ...]):
    for seed in range(50):
        draw_and_check(counts, count_triplets(np.array(counts)), seed)


def test_few_triplets_are_drawn_from_all_classes():
    drawn = Counter()
    for seed in range(100):
        positive, negative = draw_triplets(np.full(5, 20), 4, np.random.default_rng(seed))
        drawn.update(positive=len(set(positive)), negative=len(set(negative)))
        drawn.update(positive.tolist() + negative.tolist())
    assert min(drawn[label] for label in range(5)) > 100  # of 800, evenly 160
    assert min(drawn['positive'], drawn['negative']) > 250


def as_triplets(batches: Batches) -> set[tuple[int, ...]]:
    images = flat(batches)
    return {tuple(images[i : i + 3]) for i in range(0, len(images), 3)}


def test_triplets_are_packaged_as_the_miner_of_pml_takes_them():
    sampler = triplets(batch_size=12)
    for batch in sampler:
        labels = torch.from_numpy(labels_of(sampler)[batch])
        anchor, positive, negative = EmbeddingsAlreadyPackagedAsTriplets()(torch.eye(12), labels)
        assert len(anchor) == 4
        assert torch.equal(labels[anchor], labels[positive])
        assert (labels[anchor] != labels[negative]).all()


def test_the_set_of_triplets_does_not_depend_on_epoch_or_ranks():
    whole = triplets(batch_size=3)
    fixed = as_triplets(whole)
    assert len(fixed) == 13
    for epoch in range(5):
        assert as_triplets(epoch_of(whole, epoch)) == fixed
    for rank, epoch in itertools.product(range(3), range(3)):
        batches = epoch_of(triplets(rank=rank, world_size=3), epoch)
        assert len(batches) == 2
        assert as_triplets(batches) < fixed
    assert as_triplets(triplets(batch_size=3, seed=6)) != fixed
    largest = FixedSetOfTriplets(default_sampler((20, 3, 4)), 3, 7)
    assert len(as_triplets(largest)) == 7


@pytest.mark.parametrize(
    ('counts', 'batch_size', 'num_triplets', 'message'),
    [
        ((8, 8), 8, 2, '=8 .* 3'),
        ((8, 8), 6, 0, 'num_triplets .* 0'),
        ((8, 8), 6, 2.5, r'num_triplets .* 2\.5'),
        ((20, 3, 4), 6, 8, 'num_triplets=8, .* 27 images of 3 .* 7 '),
        ((20,), 6, 8, '20 images of 1 .* 0 '),
        ((1, 1, 1), 3, 1, 'at most 0 '),
        ((20, 20), 9, 5, 'num_triplets=5 .* 6 triplets .* batch_size 9'),
    ],
)
def test_impossible_triplets_are_refused(
    counts: tuple[int, ...], batch_size: int, num_triplets: int, message: str
):
    with pytest.raises(ValueError, match=f'FixedSetOfTriplets.*{message}'):
        FixedSetOfTriplets(default_sampler(counts, world_size=2), batch_size, num_triplets)
