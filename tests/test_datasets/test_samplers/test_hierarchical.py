"""HierarchicalSampler: super-classes in a batch, and where they come from."""

import json
import re
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from counted_images import BIRDS, FAMILIES, default_sampler, epoch_of, flat, hierarchical, labels_of

import dva_mm.datasets.samplers.hierarchical as hierarchical_module
from dva_mm.datasets.samplers import HierarchicalSampler, class_images


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
    for counts, batches in (
        # Of two classes: 'sea' 4 rows of 2 x 2 images, 'water' 4, 'land' 3; in twos 5 batches.
        ((9, 9, 12, 8, 7, 16), 5),
        # Three families with 3 rows each, of which two make 4 batches of 4.5.
        ((6,) * 6, 4),
        # A family with most of the images waits for the others: (1 + 1) batches.
        ((2, 40, 40, 2, 2, 2), 2),
    ):
        assert len(HierarchicalSampler(default_sampler(counts), 8, 2)) == batches


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
        (None, dict(super_classes=None), r"metainfo\['super_classes'\] has 0 names for 6"),
        (None, dict(super_classes=('sea', 'land')), '2 names for 6 classes'),
        (None, dict(classes=None), r"metainfo\['classes'\]"),
        (dict(auk='sea', owl='land'), {}, "4 of 6 classes .* 'coot'"),
        (list(FAMILIES), {}, 'list'),
    ],
)
def test_unknown_super_classes_are_refused(given, metainfo: dict, message: str, tmp_path: Path):
    sampler = default_sampler((8,) * 6, **metainfo)
    with pytest.raises(ValueError, match=message):
        HierarchicalSampler(sampler, 8, 2, super_classes=given)
    if given:  # as a file
        path = tmp_path / 'families.json'
        with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
            HierarchicalSampler(sampler, 8, 2, super_classes=str(path))
        path.write_text(json.dumps(given))
        with pytest.raises(ValueError, match=message):
            HierarchicalSampler(sampler, 8, 2, super_classes=path)


@pytest.mark.parametrize(
    ('counts', 'options', 'world_size', 'message'),
    [
        ((8,) * 6, dict(batch_size=12), 1, r'=12 .* 2 \* 4'),
        ((8,) * 6, dict(super_classes_per_batch=0), 1, 'super_classes_per_batch .* 0'),
        ((8,) * 6, dict(m=-1), 1, 'm .* -1'),
        ((8, 8, 3, 8, 8, 8), {}, 1, "1 of 6 classes .* m=4 .*'duck' has 3"),
        ((8,) * 6, dict(batch_size=24), 1, "3 of 3 .*batch_size 24 .*, 'land' has 2; .*'skip'"),
        ((8,) * 6, dict(batch_size=32, super_classes_per_batch=4), 1, '_per_batch=4, .* 3 of 3'),
        ((8, 3, 8, 8, 3, 8), dict(small_classes='skip'), 1, '_per_batch=2, .* 1 of 3'),
        ((4,) * 6, {}, 2, '1 batch.* 2 ranks'),
    ],
)
def test_impossible_hierarchies_are_refused(
    counts: tuple[int, ...], options: dict, world_size: int, message: str
):
    sampler = default_sampler(counts, world_size=world_size)
    with pytest.raises(ValueError, match=f'HierarchicalSampler.*{message}'):
        HierarchicalSampler(sampler, **{'batch_size': 16, 'm': 4, **options})


def test_super_classes_of_too_few_classes_are_left_out_on_demand(monkeypatch: pytest.MonkeyPatch):
    sampler = default_sampler((8, 8, 8, 8, 8, 3))
    log = mock.Mock()
    monkeypatch.setattr(class_images, 'print_log', log)
    monkeypatch.setattr(hierarchical_module, 'print_log', log)
    sampler = HierarchicalSampler(sampler, 16, 4, small_classes='skip')
    classes, super_classes, epoch = (call.args[0] for call in log.call_args_list)
    assert '1 of 6 classes' in classes and '1 of 3 super-classes' in super_classes
    assert '32 of 43 images' in epoch
    assert set(labels_of(sampler)[flat(sampler)]) == {0, 1, 2, 3}
