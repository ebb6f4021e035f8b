"""Two processes with half the batch each give the loss and the gradients of one with all of it."""

import multiprocessing
import traceback
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from dva_mm.models import gather_views
from dva_mm.models.gather import take_rows

CLASSES, PIXELS, CHANNELS, BATCH = 4, 5, 8, 16
HEADS = dict(
    dva=dict(type='DVAHead', temperature=0.3),
    dva_class=dict(
        type='DVAHead', temperature=0.3, background='class', dpt=dict(type='DPTLoss', mode='l2')
    ),
    dva_patches=dict(type='DVAHead', temperature=0.3, dpt=dict(patches=0.5)),
    dva_sampled=dict(type='DVAHead', temperature=0.3, num_classes=20, sample_rate=0.4),
    proxy=dict(type='MetricLearningHead', loss=dict(type='ProxyAnchorLoss')),
    pair=dict(
        type='MetricLearningHead',
        loss=dict(type='MultiSimilarityLoss'),
        miner=dict(type='MultiSimilarityMiner'),
    ),
    memory=dict(
        type='MetricLearningHead',
        loss=dict(type='CrossBatchMemory', loss=dict(type='ContrastiveLoss'), memory_size=64),
    ),
)


class Model(nn.Module):
    """A linear encoder before a head."""

    def __init__(self, head: dict) -> None:
        super().__init__()
        self.encoder = nn.Linear(PIXELS, CHANNELS)
        self.head = MODELS.build({'num_classes': CLASSES, 'in_channels': CHANNELS, **head})

    def forward(self, views: list[Tensor], labels: Tensor, kept: Tensor) -> dict[str, Tensor]:
        original, objects, background = views
        z, z_d, z_b = (self.encoder(view) for view in (original, objects, background[kept]))
        of_patches = getattr(getattr(self.head, 'dpt', None), 'patches', 0)
        options = dict(regions=(z[kept], z_d[kept])) if of_patches else {}
        return self.head.loss(z, labels, z_d, z_b, labels[kept], **options)


def whole_batches() -> list[tuple[list[Tensor], Tensor, Tensor]]:
    """Two steps; the second half of a batch has fewer backgrounds, in the second step none."""
    batches = []
    for step in range(2):
        views = [torch.randn(BATCH, PIXELS) for _ in range(3)]
        kept = torch.arange(BATCH) < (10 if step == 0 else 6)
        batches.append((views, torch.arange(CLASSES).repeat(BATCH // CLASSES), kept))
    return batches


def part(batch: tuple, rank: int, ranks: int) -> tuple:
    rows = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    views, labels, kept = batch
    return [view[rows] for view in views], labels[rows], kept[rows]


def train(rank: int, ranks: int) -> dict[str, list[dict[str, Tensor]]]:
    """Losses and gradients of two steps of each head."""
    results = {}
    for name, config in HEADS.items():
        torch.manual_seed(0)
        batches, model = whole_batches(), Model(config)
        if ranks > 1:
            model = DistributedDataParallel(model, broadcast_buffers=False)
        results[name] = []
        torch.manual_seed(rank)  # what is drawn is alike on all ranks all the same
        for batch in batches:
            model.zero_grad()
            losses = model(*part(batch, rank, ranks))
            sum(value for key, value in losses.items() if 'loss' in key).backward()
            step = {key: value.detach() for key, value in losses.items()}
            for key, parameter in model.named_parameters():
                step[key.removeprefix('module.')] = parameter.grad.clone()
            results[name].append(step)
    return results


def uneven(rank: int) -> tuple[list[Tensor], list[Tensor]]:
    """Rank 0 has no row of the second view; labels as large as float32 holds."""
    views = [torch.full((2, 3), float(rank)), torch.full((rank, 3), 5.0)]
    labels = [torch.tensor([2**24 - 1, rank]), torch.full((rank,), 7)]
    return gather_views(views, labels)


def collectives(rank: int) -> list[str]:
    """The collectives of one training step's loss and of its backward pass."""
    head = MODELS.build(dict(type='DVAHead', num_classes=CLASSES, in_channels=CHANNELS))
    views, labels = [torch.randn(3, CHANNELS).requires_grad_() for _ in range(3)], torch.arange(3)
    with torch.profiler.profile() as profile:
        losses = head.loss(views[0], labels, *views[1:], labels)
        sum(losses.values()).backward()
    names = (event.name for event in profile.events())
    return sorted(name for name in names if name.startswith('gloo:'))


def bad_label(rank: int) -> str:
    """Both ranks raise, though the label is rank 1's: none waits for the other."""
    with pytest.raises(ValueError) as error:
        gather_views([torch.zeros(1, 2)], [torch.tensor([9 * rank])], num_classes=5)
    return str(error.value)


def _process(rank: int, folder: Path) -> None:
    try:
        dist.init_process_group(
            'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
        )
        steps = dict(uneven=uneven, collectives=collectives, bad_label=bad_label)
        results = {name: step(rank) for name, step in steps.items()}
        torch.save(dict(heads=train(rank, 2), **results), folder / f'{rank}.pth')
        dist.destroy_process_group()
    except BaseException:
        (folder / f'{rank}.error').write_text(traceback.format_exc())
        raise


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list:
    folder = tmp_path_factory.mktemp('ranks')
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=_process, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        process.kill()
    errors = [path.read_text() for path in sorted(folder.glob('*.error'))]
    assert not errors, errors
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.parametrize('name', HEADS)
def test_two_ranks_with_half_the_batch_are_one_process(two_processes: list, name: str):
    want = train(0, 1)[name]
    for results in two_processes:
        assert len(results['heads'][name]) == 2
        for got, expected in zip(results['heads'][name], want, strict=True):
            assert got.keys() == expected.keys()
            for key, value in expected.items():
                torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-6, msg=key)
            assert expected['encoder.weight'].abs().sum() > 0


@pytest.mark.parametrize('rank', [0, 1])
def test_rows_of_all_ranks_are_gathered_at_once(two_processes: list, rank: int):
    """Whatever their number."""
    results = two_processes[rank]
    (first, second), (labels, others) = results['uneven']
    assert torch.equal(first, torch.tensor([[0.0] * 3] * 2 + [[1.0] * 3] * 2))
    assert torch.equal(second, torch.full((1, 3), 5.0))
    assert labels.tolist() == [2**24 - 1, 0, 2**24 - 1, 1] and others.tolist() == [7]
    assert results['collectives'] == ['gloo:all_gather'] * 2 + ['gloo:all_reduce']
    assert 'label 9' in results['bad_label']


def test_rows_that_are_all_kept_are_not_copied():
    rows = torch.randn(3, 2)
    assert take_rows(rows, [0, 1, 2]) is rows
    assert torch.equal(take_rows(rows, [0, 2]), rows[::2])
    assert take_rows(rows, []).shape == (0, 2)


def test_a_single_process_gathers_nothing():
    view, labels = torch.randn(2, 3), torch.tensor([0, 1])
    views, targets = gather_views([view], [labels])
    assert views[0] is view and targets[0] is labels
