"""Runs and processes on a GPU, in processes of their own; see test_gpu.py."""

import multiprocessing
import re
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from lab import Lab
from on_device import DEVICE, ON_GPU, make_batch, make_model, marks, needs_gpu
from torch.nn.parallel import DistributedDataParallel

from dva_mm.models import gather

pytestmark = marks
HIDDEN = dict(CUDA_VISIBLE_DEVICES='')


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., str]:
    """Train ``tiny.py`` in processes of its own; the losses are finite. Gives what it printed."""
    lab = Lab(tmp_path)

    def run(name: str, *options: str, script: tuple = ('train.py', 'tiny.py'), **env: str) -> str:
        work_dir = options[0]
        options = ('--work-dir', work_dir, '--resume', '--cfg-options', *options[1:])
        process = lab.start(name, *script, *options, **env)
        assert process.wait(600) == 0, lab.output(name)[-3000:]
        losses = re.findall(r' loss: ([\d.einfa+-]+)', lab.output(name))
        assert losses and np.isfinite([float(value) for value in losses]).all()
        return lab.output(name)

    run.lab = lab
    return run


def test_a_run_goes_from_cpu_to_gpu_and_back(train):
    for epochs, env in ((1, HIDDEN), (2, {}), (3, HIDDEN)):
        text = train(f'{epochs}.txt', 'run', f'train_cfg.max_epochs={epochs}', **env)
        assert ('memory: ' in text) == (ON_GPU and not env)  # MMEngine tells it of a GPU alone
        assert (f'resumed epoch: {epochs - 1}' in text) == (epochs > 1)
    steps = [state['step'] for state in train.lab.result('run')['optimizer']['state'].values()]
    assert {int(number) for number in steps} == {9}


@needs_gpu
def test_a_run_in_fp16_scales_its_loss_and_is_resumed(train):
    for epochs in (1, 2):
        train(f'{epochs}.txt', 'run', f'train_cfg.max_epochs={epochs}', 'precision=fp16')
    saved = train.lab.result('run', 2)
    assert saved['optimizer']['loss_scaler']['scale'] > 1
    assert all(tensor.isfinite().all() for tensor in saved['state_dict'].values())


def test_two_processes_train_to_what_one_does(train):
    """They share the one GPU through gloo."""
    options = ('train_cfg.max_epochs=1', 'env_cfg.dist_cfg.backend=gloo')
    train('one.txt', 'one', *options)
    text = train('two.txt', 'two', *options, script=('dist_train.sh', 'half.py', 2))
    assert ('memory: ' in text) == ON_GPU
    one, two = (train.lab.result(name, 1)['state_dict'] for name in ('one', 'two'))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-3, msg=name)


def test_the_joint_batch_goes_through_the_backend(tmp_path, monkeypatch):
    """MMEngine's collectives do nothing in a single process, so torch's stand for them here, and
    one process is told to act as one of several; two GPUs are needed to show more of NCCL."""
    backend = 'nccl' if ON_GPU else 'gloo'

    def all_gather(tensor):
        parts = [torch.empty_like(tensor)]
        dist.all_gather(parts, tensor)
        return parts

    monkeypatch.setattr(gather, 'all_gather', all_gather)
    monkeypatch.setattr(gather, 'all_reduce', dist.all_reduce)
    monkeypatch.setattr(gather, 'get_world_size', lambda: 2)
    dist.init_process_group(backend, init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        assert dist.get_backend() == backend
        rows = torch.randn(6, 5, device=DEVICE, requires_grad=True)
        labels = torch.arange(6, device=DEVICE)
        with torch.profiler.profile() as profile:
            views, targets = gather.gather_views([rows, rows[:2]], [labels, labels[:2]], 6)
            (views[0].sum() + 2 * views[1].sum()).backward()
        assert torch.equal(views[0], rows) and torch.equal(views[1], rows[:2])
        assert torch.equal(targets[0], labels) and torch.equal(targets[1], labels[:2])
        assert rows.grad.cpu().tolist() == [[3.0] * 5] * 2 + [[1.0] * 5] * 4
        names = {event.name for event in profile.events()}
        assert any(backend in name and 'all_gather' in name for name in names), names
    finally:
        dist.destroy_process_group()


def one_of_two(rank: int, folder: Path) -> None:
    """Gradients of a rank's half of the batch."""
    try:
        init = f'file://{folder}/store'
        dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
        model = make_model().to(DEVICE).train()
        wrapped = DistributedDataParallel(model, device_ids=[0] if ON_GPU else None)
        views, samples = make_batch(DEVICE)
        half = slice(8 * rank, 8 * rank + 8)
        losses = wrapped([view[half] for view in views], samples[half], mode='loss')
        sum(losses.values()).backward()
        found = {n: p.grad.cpu() for n, p in model.named_parameters() if p.requires_grad}
        torch.save(dict(found, loss=sum(losses.values()).detach().cpu()), folder / f'{rank}.pth')
        dist.destroy_process_group()
    except BaseException:
        (folder / f'{rank}.error').write_text(traceback.format_exc())
        raise


def test_two_processes_on_one_device_are_one_with_the_whole_batch(tmp_path):
    context = multiprocessing.get_context('spawn')  # CUDA outlives no fork
    processes = [context.Process(target=one_of_two, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    errors = [path.read_text() for path in tmp_path.glob('*.error')]
    assert not errors, errors
    model = make_model().train()
    losses = model.loss(*make_batch('cpu'))
    sum(losses.values()).backward()
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pth')
        torch.testing.assert_close(found.pop('loss'), sum(losses.values()).detach())
        for name, gradient in found.items():
            want = model.get_parameter(name).grad
            torch.testing.assert_close(gradient, want, rtol=1e-3, atol=1e-5, msg=name)
