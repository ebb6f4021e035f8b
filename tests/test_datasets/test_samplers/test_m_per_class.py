"""MPerClassSampler: what a batch holds, and what is refused or left out."""

from collections import Counter
from unittest import mock

import numpy as np
import pytest
from counted_images import default_sampler, epoch_of, flat, labels_of

from dva_mm.datasets.samplers import MPerClassSampler, class_images
from dva_mm.datasets.samplers.steps import count_steps


@pytest.mark.parametrize('counts', [(4, 4, 4, 4), (5, 9, 6, 8, 7, 11), (30, 4, 4, 4, 5), (3, 2, 2)])
@pytest.mark.parametrize('m', [1, 2])
def test_m_images_of_each_of_different_classes(counts: tuple[int, ...], m: int):
    sampler = MPerClassSampler(default_sampler(counts, named=False), 3 * m, m)
    assert len(sampler) == count_steps(np.array(counts) // m, 3)
    labels = labels_of(sampler)
    for batch in epoch_of(sampler, 1):
        assert sorted(Counter(labels[batch]).values()) == [m] * 3
        assert all(len(set(labels[batch[i : i + m]])) == 1 for i in range(0, 3 * m, m))


@pytest.mark.parametrize('counts', [(8, 8, 8, 8), (4, 0, 4)])
def test_all_images_are_used_where_they_come_out_even(counts: tuple[int, ...]):
    """A class without images does not count as small."""
    sampler = MPerClassSampler(default_sampler(counts), 8, 4)
    assert len(sampler) == sum(counts) / 8
    assert sorted(flat(sampler)) == list(range(sum(counts)))


def test_each_rank_sees_all_classes():
    for rank in (0, 1):
        sampler = MPerClassSampler(default_sampler((8,) * 6, rank=rank, world_size=2), 4, 2)
        images = [index for epoch in range(20) for index in flat(epoch_of(sampler, epoch))]
        drawn = Counter(labels_of(sampler)[images].tolist())
        assert min(drawn.values()) > 60 and len(drawn) == 6  # of 480, evenly 80


def test_groups_of_a_class_are_other_images_together_in_each_epoch():
    sampler = MPerClassSampler(default_sampler((6, 6, 6)), 6, 2)
    pairs = set()
    for epoch in range(60):
        images = flat(epoch_of(sampler, epoch))
        pairs |= {frozenset(images[i : i + 2]) for i in range(0, len(images), 2)}
    assert len(pairs) == 3 * 15


def test_a_class_of_fewer_than_m_images_is_refused_or_left_out_on_demand():
    with pytest.raises(ValueError, match="2 of 5 .* m=4 .* 'coot' has 3; .*small_classes='skip'"):
        MPerClassSampler(default_sampler((9, 3, 8, 2, 8)), 8, 4)
    with pytest.raises(ValueError, match="'3' has 2"):
        MPerClassSampler(default_sampler((9, 0, 8, 2, 8), named=False), 8, 4)
    with mock.patch.object(class_images, 'print_log') as log:
        sampler = MPerClassSampler(default_sampler((9, 3, 8, 2, 8)), 8, 4, small_classes='skip')
        drawn = [set(labels_of(sampler)[flat(epoch_of(sampler, epoch))]) for epoch in range(3)]
    assert drawn == [{0, 2, 4}] * 3
    left_out, epoch = (call.args[0] for call in log.call_args_list)
    assert '2 of 5 classes' in left_out and '24 of 30 images' in epoch


@pytest.mark.parametrize(
    ('options', 'world_size', 'message'),
    [
        (dict(batch_size=10, m=4), 1, 'batch_size=10 .* m=4'),
        (dict(batch_size=0, m=4), 1, 'batch_size=0 '),
        (dict(batch_size=8, m=0), 1, 'm .* 0'),
        (dict(batch_size=8, m=2.0), 1, r'm .* 2\.0'),
        (dict(batch_size=4, m=2), 4, '8 different classes .* only 6'),
        (dict(batch_size=4, m=2, small_classes='drop'), 1, "small_classes .* 'drop'"),
    ],
)
def test_impossible_batches_are_refused(options: dict, world_size: int, message: str):
    sampler = default_sampler((8,) * 6, world_size=world_size)
    with pytest.raises(ValueError, match=f'^MPerClassSampler.*{message}'):
        MPerClassSampler(sampler, **options)
