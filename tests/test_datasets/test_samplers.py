"""The batch samplers: what a batch holds, and who gets which batch in which epoch."""

import itertools
import json
import random
import re
from collections import Counter
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.hooks import DistSamplerSeedHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from pytorch_metric_learning.miners import EmbeddingsAlreadyPackagedAsTriplets
from torch import Tensor

import dva_mm.datasets.samplers.class_images as class_images
import dva_mm.datasets.samplers.hierarchical as hierarchical_module
from dva_mm.datasets.samplers import (
    FixedSetOfTriplets,
    HierarchicalSampler,
    MPerClassSampler,
    count_steps,
    count_triplets,
    draw_steps,
    draw_triplets,
)

BIRDS = ('auk', 'coot', 'duck', 'gull', 'owl', 'wren')
FAMILIES = ('sea', 'water', 'water', 'sea', 'land', 'land')
Batches = list[list[int]]


@DATASETS.register_module()
class CountedImages(BaseDataset):
    """So many images of each class, in mixed order, without any files."""

    def __init__(self, counts: tuple[int, ...], named: bool = True, **kwargs) -> None:
        self.counts = counts
        metainfo = dict(classes=BIRDS, super_classes=FAMILIES) if named else {}
        metainfo.update(kwargs.pop('metainfo', {}))
        super().__init__('', metainfo=metainfo, **{'serialize_data': False, **kwargs})

    def load_data_list(self) -> list[dict]:
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        return [dict(gt_label=int(label)) for label in np.random.default_rng(0).permutation(labels)]


def default_sampler(
    counts: tuple[int, ...],
    rank: int = 0,
    world_size: int = 1,
    seed: int = 5,
    named: bool = True,
    **metainfo,
) -> DefaultSampler:
    """MMEngine's sampler, as the process of this rank has it."""
    sampler = DefaultSampler(CountedImages(counts, named, metainfo=metainfo), seed=seed)
    sampler.rank, sampler.world_size = rank, world_size
    return sampler


def m_per_class(batch_size: int = 4, m: int = 2, **options) -> MPerClassSampler:
    return MPerClassSampler(default_sampler((5, 9, 6, 8, 7, 11), **options), batch_size, m)


def hierarchical(batch_size: int = 8, m: int = 2, **options) -> HierarchicalSampler:
    return HierarchicalSampler(default_sampler((9, 9, 12, 8, 7, 16), **options), batch_size, m)


def triplets(batch_size: int = 6, num_triplets: int = 13, **options) -> FixedSetOfTriplets:
    sampler = default_sampler((5, 9, 6, 8, 7, 11), **options)
    return FixedSetOfTriplets(sampler, batch_size, num_triplets)


KINDS = [m_per_class, hierarchical, triplets]


def labels_of(sampler) -> np.ndarray:
    return sampler.sampler.dataset.get_gt_labels()


def flat(batches: Batches) -> list[int]:
    return [index for batch in batches for index in batch]


def epoch_of(sampler, epoch: int) -> Batches:
    sampler.set_epoch(epoch)
    return list(sampler)


# The arithmetic, against searches that try everything.


@cache
def longest_schedule(counts: tuple[int, ...], per_step: int) -> int:
    """The most steps, by trying all choices of bins for the first step."""
    filled = [i for i, count in enumerate(counts) if count]
    return max(
        (
            1
            + longest_schedule(
                tuple(sorted(count - (i in chosen) for i, count in enumerate(counts))), per_step
            )
            for chosen in itertools.combinations(filled, per_step)
        ),
        default=0,
    )


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


def test_triplets_are_counted_right_and_all_of_them_can_be_drawn():
    checked = 0
    for size, largest in ((1, 9), (2, 10), (3, 8), (4, 5)):
        for counts in itertools.combinations_with_replacement(range(1, largest + 1), size):
            most = count_triplets(np.array(counts))
            assert most == most_triplets(counts), counts
            for number in range(1, most + 1):
                rng = np.random.default_rng((checked, number))
                positive, negative = draw_triplets(np.array(counts), number, rng)
                assert len(positive) == len(negative) == number
                assert (positive != negative).all()
                spent = Counter(positive.tolist() * 2 + negative.tolist())
                assert all(spent[i] <= count for i, count in enumerate(counts)), (counts, number)
            checked += 1
    assert checked == 9 + 55 + 120 + 70


@pytest.mark.parametrize('counts', [(40, 3, 4), (9, 9), (30, 30, 1), (25, 24, 2, 2)])
def test_triplets_of_unbalanced_classes(counts: tuple[int, ...]):
    most = count_triplets(np.array(counts))
    for seed in range(50):
        positive, negative = draw_triplets(np.array(counts), most, np.random.default_rng(seed))
        assert (positive != negative).all()
        spent = Counter(positive.tolist() * 2 + negative.tolist())
        assert all(spent[i] <= count for i, count in enumerate(counts))


def test_few_triplets_are_drawn_from_all_classes():
    drawn = Counter()
    for seed in range(100):
        positive, negative = draw_triplets(np.full(5, 20), 4, np.random.default_rng(seed))
        drawn.update(positive=len(set(positive)), negative=len(set(negative)))
        drawn.update(positive.tolist() + negative.tolist())
    assert min(drawn[label] for label in range(5)) > 100  # of 800, evenly 160
    assert min(drawn['positive'], drawn['negative']) > 250


# What holds for all three.


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_share_no_image_and_have_whole_batches_equally_many(kind, world_size: int):
    ranks = [kind(rank=rank, world_size=world_size) for rank in range(world_size)]
    for epoch in range(4):
        drawn = [epoch_of(sampler, epoch) for sampler in ranks]
        assert {len(batches) for batches in drawn} == {len(sampler) for sampler in ranks}
        assert len(drawn[0]) > 0
        assert {len(batch) for batches in drawn for batch in batches} == {ranks[0].batch_size}
        images = flat(batch for batches in drawn for batch in batches)
        assert len(set(images)) == len(images)
        assert all(type(index) is int for index in images)


@pytest.mark.parametrize('kind', KINDS)
def test_a_resumed_run_goes_on_in_the_same_order(kind):
    sampler = kind()
    epochs = [epoch_of(sampler, epoch) for epoch in range(4)]
    assert epoch_of(kind(), 3) == epochs[3]
    assert epoch_of(sampler, 1) == epochs[1]  # nothing is kept from one epoch to the next
    assert len({str(batches) for batches in epochs}) == 4
    assert epoch_of(kind(seed=6), 3) != epochs[3]


@pytest.mark.parametrize('kind', KINDS)
def test_global_random_numbers_are_neither_used_nor_touched(kind):
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        drawn.append(list(kind()))
        after = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        assert after[0] == before[0]
        assert after[1][2:] == before[1][2:]
        np.testing.assert_array_equal(after[1][1], before[1][1])
        assert torch.equal(after[2], before[2])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize('kind', KINDS)
def test_what_rests_is_other_images_in_each_epoch(kind):
    sampler = kind()
    used = [set(flat(epoch_of(sampler, epoch))) for epoch in range(40)]
    total = 13 * 3 if kind is triplets else len(labels_of(sampler))
    assert max(len(images) for images in used) < total
    assert len(set.union(*used)) == total


@pytest.mark.parametrize('kind', [m_per_class, triplets])
@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_with_small_batches_make_up_the_batches_of_one_rank(kind, world_size: int):
    ranks = [kind(rank=rank, world_size=world_size) for rank in range(world_size)]
    whole = epoch_of(kind(world_size * ranks[0].batch_size), 2)
    parts = zip(*(epoch_of(sampler, 2) for sampler in ranks), strict=True)
    assert [flat(step) for step in parts] == whole


# MPerClassSampler


@pytest.mark.parametrize('counts', [(4, 4, 4, 4), (5, 9, 6, 8, 7, 11), (30, 4, 4, 4, 5), (3, 2, 2)])
@pytest.mark.parametrize('m', [1, 2])
def test_m_images_of_each_of_different_classes(counts: tuple[int, ...], m: int):
    sampler = MPerClassSampler(default_sampler(counts, named=False), 3 * m, m)
    assert len(sampler) == count_steps(np.array(counts) // m, 3)
    labels = labels_of(sampler)
    for batch in epoch_of(sampler, 1):
        assert sorted(Counter(labels[batch]).values()) == [m] * 3
        assert all(len(set(labels[batch[i : i + m]])) == 1 for i in range(0, 3 * m, m))


def test_all_images_are_used_where_they_come_out_even():
    sampler = MPerClassSampler(default_sampler((8, 8, 8, 8)), 8, 4)
    assert len(sampler) == 4
    assert sorted(flat(sampler)) == list(range(32))


def test_each_rank_sees_all_classes():
    for rank in (0, 1):
        sampler = MPerClassSampler(default_sampler((8,) * 6, rank=rank, world_size=2), 4, 2)
        drawn = Counter(
            label
            for epoch in range(20)
            for label in labels_of(sampler)[flat(epoch_of(sampler, epoch))]
        )
        assert min(drawn.values()) > 60 and len(drawn) == 6  # of 480, evenly 80


def test_groups_of_a_class_are_other_images_together_in_each_epoch():
    sampler = MPerClassSampler(default_sampler((6, 6, 6)), 6, 2)
    pairs = set()
    for epoch in range(60):
        images = flat(epoch_of(sampler, epoch))
        pairs |= {frozenset(images[i : i + 2]) for i in range(0, len(images), 2)}
    assert len(pairs) == 3 * 15


def test_a_class_of_fewer_than_m_images_is_refused():
    message = (
        r"MPerClassSampler: class 'coot' has 3 image\(s\), fewer than m=4, one of 2 such classes "
        r"of 5; .*small_classes='skip'"
    )
    with pytest.raises(ValueError, match=message):
        MPerClassSampler(default_sampler((9, 3, 8, 2, 8)), 8, 4)
    with pytest.raises(ValueError, match=r"class '3' has 2 image\(s\)"):
        MPerClassSampler(default_sampler((9, 0, 8, 2, 8), named=False), 8, 4)


def test_a_class_of_fewer_than_m_images_is_left_out_on_demand(monkeypatch: pytest.MonkeyPatch):
    logged = []
    monkeypatch.setattr(class_images, 'print_log', lambda message, logger: logged.append(message))
    sampler = MPerClassSampler(default_sampler((9, 3, 8, 2, 8)), 8, 4, small_classes='skip')
    assert logged == [
        'MPerClassSampler: 2 of 5 classes have fewer than m=4 images and are left out of training',
        'MPerClassSampler: 3 batches a rank and epoch, together 24 of 30 images (80.0%)',
    ]
    drawn = [set(labels_of(sampler)[flat(epoch_of(sampler, epoch))]) for epoch in range(3)]
    assert drawn == [{0, 2, 4}] * 3
    assert len(logged) == 2


def test_a_class_without_images_does_not_count_as_small():
    sampler = MPerClassSampler(default_sampler((4, 0, 4)), 8, 4)
    assert sorted(flat(sampler)) == list(range(8))


@pytest.mark.parametrize(
    ('batch_size', 'm', 'world_size', 'message'),
    [
        (10, 4, 1, 'batch_size=10 is not a multiple of m=4'),
        (0, 4, 1, 'batch_size=0 is not a multiple of m=4'),
        (8, 0, 1, 'm must be a positive whole number, got 0'),
        (8, 2.0, 1, 'm must be a positive whole number, got 2.0'),
        (
            4,
            2,
            4,
            'a step takes 8 different classes (4 rank(s) x batch_size 4 / m 2), but only 6 have m '
            'images; lower batch_size or raise m',
        ),
    ],
)
def test_impossible_batches_are_refused(batch_size: int, m: int, world_size: int, message: str):
    sampler = default_sampler((8,) * 6, world_size=world_size)
    with pytest.raises(ValueError, match=f'^MPerClassSampler:? {re.escape(message)}$'):
        MPerClassSampler(sampler, batch_size, m)


def test_an_unknown_way_with_small_classes_is_refused():
    with pytest.raises(ValueError, match=r"small_classes must be 'error' or 'skip', got 'drop'"):
        MPerClassSampler(default_sampler((8, 8)), 4, 2, small_classes='drop')


# HierarchicalSampler


@pytest.mark.parametrize(('super_classes_per_batch', 'm'), [(1, 2), (2, 1), (2, 2), (3, 2), (3, 4)])
def test_a_batch_holds_its_super_classes_in_equal_parts(super_classes_per_batch: int, m: int):
    batch_size = super_classes_per_batch * 2 * m
    sampler = default_sampler((9, 9, 12, 8, 7, 16))
    sampler = HierarchicalSampler(sampler, batch_size, m, super_classes_per_batch)
    labels = labels_of(sampler)
    families = np.array(FAMILIES)[labels]
    seen = set()
    for batch in epoch_of(sampler, 1):
        parts = Counter(families[batch].tolist())
        assert list(parts.values()) == [2 * m] * super_classes_per_batch
        assert sorted(Counter(labels[batch].tolist()).values()) == [m] * 2 * super_classes_per_batch
        seen.add(frozenset(parts))
    assert set().union(*seen) == set(FAMILIES)


def test_an_epoch_has_as_many_batches_as_can_be():
    # Of two classes: 'sea' 4 rows of 2 x 2 images, 'water' 4, 'land' 3; in twos makes 5 batches.
    assert len(hierarchical()) == 5
    # All three families with 3 rows each, so that two of three families make 4 batches of 4.5.
    even = HierarchicalSampler(default_sampler((6,) * 6), 8, 2)
    assert len(even) == 4
    # A family with most of the images waits for the others: (1 + 1) batches.
    uneven = HierarchicalSampler(default_sampler((2, 40, 40, 2, 2, 2)), 8, 2)
    assert len(uneven) == 2


@pytest.mark.parametrize('world_size', [2, 3])
def test_batches_are_dealt_out_to_the_ranks_in_turn(world_size: int):
    one = epoch_of(hierarchical(), 2)
    for rank in range(world_size):
        sampler = hierarchical(rank=rank, world_size=world_size)
        assert len(sampler) == 5 // world_size
        assert epoch_of(sampler, 2) == one[rank : 5 // world_size * world_size : world_size]


def test_super_classes_come_from_metainfo_a_dict_or_a_file(tmp_path: Path):
    families = {**dict(zip(BIRDS, FAMILIES, strict=True)), 'yak': 'beast'}
    path = tmp_path / 'families.json'
    path.write_text(json.dumps(families))
    expected = epoch_of(hierarchical(), 1)
    for given in (families, str(path), path):
        # The argument goes before what the data set says.
        sampler = default_sampler((9, 9, 12, 8, 7, 16), super_classes=('beast',) * 6)
        assert epoch_of(HierarchicalSampler(sampler, 8, 2, super_classes=given), 1) == expected


@pytest.mark.parametrize(
    ('given', 'metainfo', 'message'),
    [
        (None, dict(super_classes=None), r"no metainfo\['super_classes'\]; set super_classes"),
        (None, dict(super_classes=('sea', 'land')), '2 names for 6 classes'),
        (None, dict(classes=None), r"class names in metainfo\['classes'\]"),
        (dict(auk='sea', owl='land'), {}, "4 of 6 classes have no super-class, 'coot' for one"),
        (list(FAMILIES), {}, 'must map class names to super-class names, got list'),
    ],
)
def test_unknown_super_classes_are_refused(given, metainfo: dict, message: str):
    sampler = default_sampler((8,) * 6, **metainfo)
    with pytest.raises(ValueError, match=message):
        HierarchicalSampler(sampler, 8, 2, super_classes=given)


def test_a_missing_or_wrong_file_of_super_classes_is_refused(tmp_path: Path):
    path = tmp_path / 'families.json'
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        HierarchicalSampler(default_sampler((8,) * 6), 8, 2, super_classes=str(path))
    path.write_text('["sea"]')
    with pytest.raises(ValueError, match='got list'):
        HierarchicalSampler(default_sampler((8,) * 6), 8, 2, super_classes=str(path))


@pytest.mark.parametrize(
    ('counts', 'options', 'world_size', 'message'),
    [
        ((8,) * 6, dict(batch_size=12), 1, r'=12 is not a multiple of .* \* m = 2 \* 4$'),
        ((8,) * 6, dict(super_classes_per_batch=0), 1, 'positive whole number, got 0'),
        ((8,) * 6, dict(m=-1), 1, 'm must be a positive whole number, got -1'),
        ((8, 8, 3, 8, 8, 8), {}, 1, "class 'duck' has 3 image.*m=4, one of 1 such classes of 6"),
        (
            (8,) * 6,
            dict(batch_size=24),
            1,
            r"super-class 'land' has 2 class\(es\), but a batch takes 3 \(batch_size 24 / .* = "
            r"2 \* 4\)\); 3 of 3 super-classes.*small_classes='skip'",
        ),
        (
            (8,) * 6,
            dict(batch_size=32, super_classes_per_batch=4),
            1,
            'takes 4 super-classes of at least 2 .* but of 3 super-classes 3 have as many',
        ),
        (
            (8, 3, 8, 8, 3, 8),
            dict(small_classes='skip'),
            1,
            'takes 2 super-classes of at least 2 .* but of 3 super-classes 1 have as many',
        ),
        ((4,) * 6, {}, 2, r'images make 1 batch\(es\) of 16, fewer than the 2 ranks'),
    ],
)
def test_impossible_hierarchies_are_refused(
    counts: tuple[int, ...], options: dict, world_size: int, message: str
):
    sampler = default_sampler(counts, world_size=world_size)
    with pytest.raises(ValueError, match=f'HierarchicalSampler.*{message}'):
        HierarchicalSampler(sampler, **{'batch_size': 16, 'm': 4, **options})


def test_super_classes_of_too_few_classes_are_left_out_on_demand(monkeypatch: pytest.MonkeyPatch):
    logged = []
    for module in (class_images, hierarchical_module):
        monkeypatch.setattr(module, 'print_log', lambda message, logger: logged.append(message))
    sampler = default_sampler((8, 8, 8, 8, 8, 3))
    sampler = HierarchicalSampler(sampler, 16, 4, small_classes='skip')
    assert logged[0].startswith('HierarchicalSampler: 1 of 6 classes have fewer than m=4 images')
    assert logged[1].startswith('HierarchicalSampler: 1 of 3 super-classes have fewer classes than')
    assert logged[2].endswith('2 batches a rank and epoch, together 32 of 43 images (74.4%)')
    assert set(labels_of(sampler)[flat(sampler)]) == {0, 1, 2, 3}


# FixedSetOfTriplets


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


def test_the_largest_set_of_triplets_can_be_had():
    sampler = FixedSetOfTriplets(default_sampler((20, 3, 4)), 3, 7)
    assert len(as_triplets(sampler)) == 7


@pytest.mark.parametrize(
    ('counts', 'batch_size', 'num_triplets', 'message'),
    [
        ((8, 8), 8, 2, '=8 is not a multiple of 3'),
        ((8, 8), 6, 0, 'num_triplets must be a positive whole number, got 0'),
        ((8, 8), 6, 2.5, 'num_triplets must be a positive whole number, got 2.5'),
        (
            (20, 3, 4),
            6,
            8,
            r'num_triplets=8, but 27 images of 3 classes \(the largest has 20\) make at most 7 ',
        ),
        ((20,), 6, 8, r'20 images of 1 classes \(the largest has 20\) make at most 0 triplets'),
        ((1, 1, 1), 3, 1, 'make at most 0 triplets'),
        (
            (20, 20),
            9,
            5,
            r'num_triplets=5 fill no step of 6 triplets \(2 rank\(s\) x batch_size 9 / 3\)',
        ),
    ],
)
def test_impossible_triplets_are_refused(
    counts: tuple[int, ...], batch_size: int, num_triplets: int, message: str
):
    with pytest.raises(ValueError, match=f'FixedSetOfTriplets.*{message}'):
        FixedSetOfTriplets(default_sampler(counts, world_size=2), batch_size, num_triplets)


# Under MMEngine


CONFIGS = [
    (dict(type='mmpretrain.MPerClassSampler', m=2), m_per_class),
    (
        dict(
            type='mmpretrain.HierarchicalSampler',
            m=2,
            super_classes=dict(zip(BIRDS, FAMILIES, strict=True)),
        ),
        hierarchical,
    ),
    (dict(type='mmpretrain.FixedSetOfTriplets', num_triplets=13), triplets),
]


def dataloader_config(batch_sampler: dict, kind) -> dict:
    sampler = kind()
    return dict(
        batch_size=sampler.batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=batch_sampler,
        drop_last=False,
        dataset=dict(
            type='mmpretrain.CountedImages',
            counts=sampler.sampler.dataset.counts,
            serialize_data=True,
        ),
    )


@pytest.mark.parametrize(('batch_sampler', 'kind'), CONFIGS)
def test_a_data_loader_from_a_config_follows_the_epochs(batch_sampler: dict, kind):
    loader = Runner.build_dataloader(dataloader_config(batch_sampler, kind), seed=5)
    for epoch in (0, 3, 1):
        runner = SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader), epoch=epoch)
        DistSamplerSeedHook().before_train_epoch(runner)
        assert [batch['sample_idx'] for batch in loader] == epoch_of(kind(), epoch)
    assert len(loader) == len(kind())
    assert loader.batch_sampler.batch_size == kind().batch_size  # where MMEngine looks for it


@pytest.mark.parametrize(('batch_sampler', 'kind'), CONFIGS)
@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (
            dict(sampler=dict(type='InfiniteSampler')),
            r"needs sampler=dict\(type='DefaultSampler'\) for the epoch, got InfiniteSampler",
        ),
        (
            dict(num_batch_per_epoch=1),
            r'each of \d+ images, got labels of shape \(\d+,\); .*nor with num_batch_per_epoch',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    batch_sampler: dict, kind, option: dict, message: str
):
    config = {**dataloader_config(batch_sampler, kind), **option}
    with pytest.raises(ValueError, match=message):
        Runner.build_dataloader(config, seed=5)


class RecordingModel(BaseModel):
    """Keeps the indices it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: Batches = []

    def forward(self, sample_idx: list[int], mode: str, **_) -> dict[str, Tensor]:
        self.seen.append(list(sample_idx))
        return dict(loss=self.weight**2)


@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_run_draws_a_new_epoch_in_either_loop(
    by_epoch: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr('time.sleep', lambda seconds: None)  # the loop's pause between epochs
    length = len(m_per_class())
    model = RecordingModel()
    Runner(
        model,
        str(tmp_path),
        train_dataloader=dataloader_config(*CONFIGS[0]),
        train_cfg=dict(by_epoch=True, max_epochs=3)
        if by_epoch
        else dict(by_epoch=False, max_iters=3 * length),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None, logger=None),
        randomness=dict(seed=5),
        default_scope='mmpretrain',
        experiment_name=f'samplers_{by_epoch}',
    ).train()
    assert model.seen == [batch for epoch in range(3) for batch in epoch_of(m_per_class(), epoch)]


def test_data_sets_put_together_by_mmengine_work():
    parts = [CountedImages((4, 4, 2)), CountedImages((2, 2, 4))]
    sampler = DefaultSampler(ConcatDataset(parts), seed=5)
    drawn = flat(MPerClassSampler(sampler, 9, 3))
    labels = np.concatenate([part.get_gt_labels() for part in parts])
    assert len(set(drawn)) == 18
    assert all(len(set(labels[drawn[i : i + 3]])) == 1 for i in range(0, 18, 3))
