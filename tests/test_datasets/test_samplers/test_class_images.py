"""What holds for all three batch samplers, alone and in MMEngine's loops."""

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from counted_images import (
    BIRDS,
    FAMILIES,
    KINDS,
    Batches,
    CountedImages,
    epoch_of,
    flat,
    hierarchical,
    labels_of,
    m_per_class,
    triplets,
)
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.hooks import DistSamplerSeedHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from dva_mm.datasets.samplers import MPerClassSampler


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
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002

    drawn = []
    for seed in (1, 2):
        numbers = []
        for used in (False, True):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            if used:
                drawn.append(list(kind()))
            numbers.append(draw())
        assert numbers[0] == numbers[1]
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


BY_FAMILY = dict(m=2, super_classes=dict(zip(BIRDS, FAMILIES, strict=True)))
CONFIGS = [
    (dict(type='mmpretrain.MPerClassSampler', m=2), m_per_class),
    (dict(type='mmpretrain.HierarchicalSampler', **BY_FAMILY), hierarchical),
    (dict(type='mmpretrain.FixedSetOfTriplets', num_triplets=13), triplets),
]


def dataloader_config(batch_sampler: dict, kind) -> dict:
    sampler = kind()
    counts = sampler.sampler.dataset.counts
    return dict(
        batch_size=sampler.batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=batch_sampler,
        drop_last=False,
        dataset=dict(type='mmpretrain.CountedImages', counts=counts, serialize_data=True),
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
        (dict(sampler=dict(type='InfiniteSampler')), "'DefaultSampler'.* InfiniteSampler"),
        (dict(num_batch_per_epoch=1), r'\(\d+,\); .*num_batch_per_epoch'),
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
    end = dict(max_epochs=3) if by_epoch else dict(max_iters=3 * length)
    Runner(
        model,
        str(tmp_path),
        train_dataloader=dataloader_config(*CONFIGS[0]),
        train_cfg=dict(by_epoch=by_epoch, **end),
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
