"""What only a GPU can show: ``pytest -m gpu``. Without CUDA these tests are skipped.

``DVA_TEST_DEVICE=cpu`` runs what a CPU can of them, to try the tests themselves.
"""

import copy
import os
import re

import numpy as np
import pytest
import torch
from lab import ROOT, Lab
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from tiny_data import picture

from dva_mm import Index, Retriever
from dva_mm.engine import compile_encoder
from dva_mm.evaluation import RetrievalMetric
from dva_mm.models.gather import gather_views

DEVICE = os.environ.get('DVA_TEST_DEVICE', 'cuda')
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        DEVICE == 'cuda' and not torch.cuda.is_available(), reason='torch sees no GPU'
    ),
]
TUNINGS = ('ICA', 'Full', 'BitFit', 'LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer')
LOSSES = sorted(path.stem for path in (ROOT / 'configs/_base_/losses').glob('*.py'))


def make_model(tuning: str = 'ICA', head: dict | None = None, **backbone):
    torch.manual_seed(0)
    encoder = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    encoder |= dict(tuning=dict(type=tuning), **backbone)
    head = {'type': 'DVAHead', 'num_classes': 4, **(head or {})}
    return MODELS.build(dict(type='DVARetriever', backbone=encoder, head=head))


def make_batch(device: str, views: int = 3):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(16, 3, 32, 32, generator=generator).to(device) for _ in range(views)]
    samples = [DataSample().set_gt_label(i % 4).to(device) for i in range(16)]
    return images if views > 1 else images[0], samples


def step(model, device: str, dtype: torch.dtype | None = None, views: int = 3):
    """Losses and gradients (on the CPU) of one step."""
    model = model.to(device).train()
    model.autocast_dtype = dtype
    losses = model.loss(*make_batch(device, views))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    found = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    return {n: value.detach().cpu() for n, value in losses.items() if 'loss' in n}, found


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@pytest.mark.parametrize('tuning', TUNINGS)
def test_a_step_in_half_precision_is_finite_and_near_that_of_a_cpu(tuning, dtype):
    model = make_model(tuning)
    want, exact = step(copy.deepcopy(model), 'cpu')
    got, gradients = step(model, DEVICE, dtype)
    assert gradients.keys() == exact.keys()
    assert gradients.keys() <= {n for n, p in model.named_parameters() if p.requires_grad}
    for name, loss in got.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, want[name], rtol=0.05, atol=0.02)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    one, other = (torch.cat([g[n].flatten() for n in exact]) for g in (gradients, exact))
    assert torch.cosine_similarity(one, other, dim=0) > 0.95


@pytest.mark.parametrize('name', LOSSES)
def test_each_loss_of_the_bench_trains_in_bf16(name):
    head = Config.fromfile(ROOT / f'configs/_base_/losses/{name}.py').head
    views = 3 if head['type'] == 'DVAHead' else 1
    losses, gradients = step(
        make_model(head={**head, 'num_classes': 4}), DEVICE, torch.bfloat16, views
    )
    assert gradients
    for value in [*losses.values(), *gradients.values()]:
        assert value.dtype == torch.float32 and value.isfinite().all()


def test_the_joint_batch_of_one_process_over_nccl_is_its_own(tmp_path):
    backend = 'nccl' if DEVICE == 'cuda' else 'gloo'
    torch.distributed.init_process_group(
        backend, init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        rows, labels = torch.randn(6, 5, device=DEVICE), torch.arange(6, device=DEVICE)
        views, targets = gather_views([rows, rows[:2]], [labels, labels[:2]], 6)
        assert torch.equal(views[0], rows) and torch.equal(views[1], rows[:2])
        assert torch.equal(targets[0], labels)
    finally:
        torch.distributed.destroy_process_group()


def test_a_run_goes_from_cpu_to_gpu_and_back(tmp_path):
    lab = Lab(tmp_path)
    for epochs, hidden in ((1, True), (2, DEVICE != 'cuda'), (3, True)):
        env = dict(CUDA_VISIBLE_DEVICES='') if hidden else {}
        options = ['--cfg-options', f'train_cfg.max_epochs={epochs}', '--resume']
        log = f'{epochs}.log'
        process = lab.start(log, 'train.py', 'tiny.py', '--work-dir', 'run', *options, **env)
        assert process.wait(600) == 0, (tmp_path / log).read_text()[-3000:]
        text = (tmp_path / log).read_text()
        losses = [float(value) for value in re.findall(r'loss: ([\d.einfa-]+)', text)]
        assert losses and np.isfinite(losses).all()
    assert (tmp_path / 'run' / 'epoch_3.pth').is_file()


@pytest.mark.parametrize('how', ['compiled', 'channels_last', 'grad_checkpointing'])
def test_other_ways_to_compute_give_the_same_step(how):
    model = make_model()
    want, exact = step(copy.deepcopy(model), DEVICE)
    if how == 'grad_checkpointing':
        model = make_model(grad_checkpointing=True)
    elif how == 'compiled':
        compile_encoder(model.to(DEVICE).backbone, 'inductor' if DEVICE == 'cuda' else 'eager')
    else:
        model = model.to(memory_format=torch.channels_last)
    got, gradients = step(model, DEVICE)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-3, atol=1e-4)
    for name in exact:
        torch.testing.assert_close(gradients[name], exact[name], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize('search', ['cpu', DEVICE])
def test_figures_do_not_depend_on_the_device(search):
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.nn.functional.normalize(torch.randn(500, 32, generator=generator), dim=1)
    figures = []
    for device, where in (('cpu', 'cpu'), (DEVICE, search)):
        metric = RetrievalMetric(
            include=('recall', 'mean_average_precision_at_r', 'r_precision'), device=where
        )
        samples = [
            DataSample(embedding=row.to(device), sample_idx=i).set_gt_label(i % 25).to_dict()
            for i, row in enumerate(embeddings)
        ]
        metric.process(None, samples)
        figures.append(metric.evaluate(500))
    assert figures[0] == pytest.approx(figures[1], abs=1e-4)  # in percent: 1e-6 of one


def test_embeddings_and_answers_are_those_of_a_cpu(tmp_path):
    images = [picture(i % 3, i)[0] for i in range(12)]
    found, embeddings = [], []
    for number, device in enumerate(('cpu', DEVICE)):
        retriever = Retriever.load('dva_mm::dva_demo.py', device=device)
        embeddings.append(retriever.encode(images, progress=False))
        index = Index.build(retriever, images, tmp_path / f'{number}.index')
        found.append([[hit.id for hit in hits] for hits in index.search(images, k=3)])
    np.testing.assert_allclose(*embeddings, atol=1e-3)
    assert found[0] == found[1]


def test_an_exported_file_runs_on_onnxruntimes_gpu(tmp_path):
    runtime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' not in runtime.get_available_providers():
        pytest.skip('onnxruntime was installed without CUDA (onnxruntime-gpu)')
    from dva_mm.__main__ import main

    out = tmp_path / 'demo.onnx'
    assert not main(['export', 'dva_mm::dva_demo.py', '--out', str(out)])
    images = [picture(i % 3, i)[0] for i in range(6)]
    one, other = (Retriever.load(str(out), device=device) for device in ('cpu', 'cuda'))
    np.testing.assert_allclose(
        one.encode(images, progress=False), other.encode(images, progress=False), atol=1e-3
    )
