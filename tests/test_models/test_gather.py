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

from dva_mm.models import gather_rows

CLASSES, PIXELS, CHANNELS, BATCH = 4, 5, 8, 16
HEADS = dict(
    dva=dict(type='DVAHead', temperature=0.3),
    dva_class=dict(type='DVAHead', temperature=0.3, background='class', dpt=dict(mode='l2')),
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
        if 'dpt' in head:
            head = {**head, 'dpt': dict(type='DPTLoss', **head['dpt'])}
        self.head = MODELS.build(dict(num_classes=CLASSES, in_channels=CHANNELS, **head))

    def forward(self, views: list[Tensor], labels: Tensor, kept: Tensor) -> dict[str, Tensor]:
        original, objects, background = views
        z, z_d, z_b = (self.encoder(view) for view in (original, objects, background[kept]))
        return self.head.loss(z, labels, z_d, z_b, labels[kept])


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
        for batch in batches:
            model.zero_grad()
            losses = model(*part(batch, rank, ranks))
            sum(value for key, value in losses.items() if 'loss' in key).backward()
            step = {key: value.detach() for key, value in losses.items()}
            for key, parameter in model.named_parameters():
                step[key.removeprefix('module.')] = parameter.grad.clone()
            results[name].append(step)
    return results


def shared_gradients(rank: int) -> list[Tensor]:
    """An addition hands one and the same gradient to both of its parts."""
    a, b = (torch.ones(2, 1, requires_grad=True) for _ in range(2))
    weights = torch.arange(4.0)[:, None]
    ((gather_rows(a) + gather_rows(b)) * weights).sum().backward()
    return [a.grad, b.grad, 2 * weights[2 * rank : 2 * rank + 2]]


def _process(rank: int, folder: Path) -> None:
    try:
        dist.init_process_group(
            'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
        )
        rows = torch.full((rank, 3), float(rank))  # rank 0 has none
        results = dict(heads=train(rank, 2), rows=gather_rows(rows), shared=shared_gradients(rank))
        torch.save(results, folder / f'{rank}.pth')
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


def test_ranks_may_hold_different_numbers_of_rows(two_processes: list):
    for results in two_processes:
        assert torch.equal(results['rows'], torch.ones(1, 3))


def test_gathered_rows_share_no_gradient_with_others(two_processes: list):
    for results in two_processes:
        a, b, want = results['shared']
        assert torch.equal(a, want) and torch.equal(b, want)


def test_a_single_process_gathers_nothing():
    rows = torch.randn(2, 3)
    assert gather_rows(rows) is rows
