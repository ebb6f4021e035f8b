"""What only a GPU can show: ``pytest -m gpu``. Without CUDA these tests are skipped.

``DVA_TEST_DEVICE=cpu`` runs what a CPU can of them, to try the tests themselves.
"""

import numpy as np
import pytest
import torch
from lab import ROOT
from mmengine.config import Config
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.structures import DataSample
from on_device import DEVICE, ON_GPU, cosine, make_batch, make_model, marks, needs_gpu, step
from tiny_data import picture

from dva_mm import Index, Retriever
from dva_mm.engine import ResumedScheduleHook, compile_encoder
from dva_mm.evaluation import CosineKNN, RetrievalMetric

pytestmark = marks
TUNINGS = ('ICA', 'Full', 'BitFit', 'LoRA', 'VPTShallow', 'VPTDeep', 'AdaptFormer')
LOSSES = sorted(path.stem for path in (ROOT / 'configs/_base_/losses').glob('*.py'))
half_precision = pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16']
)


def assert_near(got: tuple[dict, dict], want: tuple[dict, dict], least: float) -> None:
    """Losses in float32 near the others, finite gradients that point the same way."""
    for name, loss in got[0].items():
        assert loss.device.type == DEVICE and loss.dtype == torch.float32
        torch.testing.assert_close(loss.cpu(), want[0][name], rtol=0.05, atol=0.02)
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in got[1].values())
    assert cosine(got[1], want[1]) > least


@half_precision
@pytest.mark.parametrize('tuning', TUNINGS)
def test_a_step_in_half_precision_is_finite_and_near_that_of_a_cpu(tuning, dtype):
    model = make_model(tuning)
    got = step(model, DEVICE, dtype)
    assert got[1].keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert_near(got, step(model, 'cpu'), 0.95)


@half_precision
@pytest.mark.parametrize('name', LOSSES)
def test_each_loss_of_the_bench_is_near_that_of_a_cpu(name, dtype):
    head = Config.fromfile(ROOT / f'configs/_base_/losses/{name}.py').head
    views = 3 if head['type'] == 'DVAHead' else 1
    model = make_model(head={**head, 'num_classes': 4})
    got = step(model, DEVICE, dtype, views)
    assert got[1]
    # A miner takes other triplets for a similarity that differs in its last bits.
    assert_near(got, step(model, 'cpu', None, views), 0.8 if 'miner' in head else 0.95)


def test_initialisation_keeps_the_encoder():
    """MMEngine initialises a model after its way to the GPU."""
    encoder = make_model().backbone
    info, before = encoder.encoder_info(), encoder.host.patch_embed.proj.weight.clone()
    encoder.to(DEVICE).init_weights()
    assert encoder.encoder_info() == info
    assert torch.equal(encoder.host.patch_embed.proj.weight.cpu(), before)


def test_a_step_waits_for_the_device_at_no_point():
    """After the first ones, which allocate; also with the optimiser's state of a checkpoint."""
    model = make_model().to(DEVICE).train()
    constructor = dict(type='TrainableOptimWrapperConstructor')
    config = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    optimizer = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(constructor, optim_wrapper_cfg=config))(model)
    views, samples = make_batch('cpu')
    samples[0].set_field(False, 'has_background')
    views = [view.pin_memory() if ON_GPU else view for view in views]
    for number in range(5):
        if number == 3:
            state = optimizer.state_dict()
            for moments in state['state'].values():  # as MMEngine loads a checkpoint
                moments.update({name: tensor.to(DEVICE) for name, tensor in moments.items()})
            ResumedScheduleHook().after_load_checkpoint(None, dict(optimizer=state))
            optimizer.load_state_dict(state)
        if ON_GPU and number > 1:
            torch.cuda.set_sync_debug_mode('error')
        try:
            terms = model.train_step(dict(inputs=views, data_samples=samples), optimizer)
        finally:
            if ON_GPU:
                torch.cuda.set_sync_debug_mode('default')
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize('how', ['compiled', 'channels_last', 'grad_checkpointing'])
def test_other_ways_to_compute_give_the_same_step(how):
    model = make_model()
    want, exact = step(model, DEVICE)
    if how == 'grad_checkpointing':
        model = make_model(grad_checkpointing=True)
    elif how == 'channels_last':
        model = model.to(memory_format=torch.channels_last)
    else:
        compile_encoder(model.backbone, 'inductor' if ON_GPU else 'eager')
    got, gradients = step(model, DEVICE)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-3, atol=1e-4)
    for name in exact:
        torch.testing.assert_close(gradients[name], exact[name], rtol=1e-2, atol=1e-4)


def rows(number: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.nn.functional.normalize(torch.randn(number, 32, generator=generator), dim=1)


@pytest.mark.parametrize('backend', ['torch', 'faiss'])
def test_neighbours_are_those_of_a_cpu(backend):
    if backend == 'faiss':
        faiss = pytest.importorskip('faiss')
        if ON_GPU and not faiss.get_num_gpus():
            pytest.skip('faiss was installed without CUDA (faiss-gpu)')
    want = CosineKNN('torch')(rows(), 8, rows(), ref_includes_query=True)
    vectors = rows().to(DEVICE)
    got = CosineKNN(backend)(vectors, 8, vectors, ref_includes_query=True)
    assert got[0].device.type == DEVICE
    torch.testing.assert_close(got[0].cpu(), want[0], rtol=0, atol=1e-6)
    assert torch.equal(got[1].cpu(), want[1])


@pytest.mark.parametrize('search', ['cpu', DEVICE])
def test_figures_do_not_depend_on_the_device(search):
    figures = []
    for device, where in (('cpu', 'cpu'), (DEVICE, search)):
        metric = RetrievalMetric(
            include=('recall', 'mean_average_precision_at_r', 'r_precision'), device=where
        )
        samples = [
            DataSample(embedding=row.to(device), sample_idx=i).set_gt_label(i % 25).to_dict()
            for i, row in enumerate(rows())
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


def test_an_exported_file_runs_on_onnxruntimes_gpu(tmp_path, monkeypatch):
    runtime = pytest.importorskip('onnxruntime')
    provider = 'CUDAExecutionProvider' if ON_GPU else 'CPUExecutionProvider'
    if provider not in runtime.get_available_providers():
        pytest.skip('onnxruntime was installed without CUDA (onnxruntime-gpu)')
    from dva_mm.__main__ import main

    out, sessions, start = tmp_path / 'demo.onnx', [], runtime.InferenceSession
    assert not main(['export', 'dva_mm::dva_demo.py', '--out', str(out)])
    monkeypatch.setattr(
        runtime,
        'InferenceSession',
        lambda *args, **options: sessions.append(start(*args, **options)) or sessions[-1],
    )
    images = [picture(i % 3, i)[0] for i in range(6)]
    one, other = (Retriever.load(str(out), device=device) for device in ('cpu', DEVICE))
    assert sessions[1].get_providers()[0] == provider
    got = [retriever.encode(images, progress=False) for retriever in (one, other)]
    np.testing.assert_allclose(*got, atol=1e-4)


@needs_gpu
def test_a_full_gpu_ends_in_a_line_that_says_what_to_lower(tmp_path, capsys):
    from lab import Lab

    from dva_mm.__main__ import main

    lab = Lab(tmp_path)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        code = main(['train', str(lab.config), *lab.options(tmp_path / 'full')])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith('error: ')]
    assert code == 2 and 'CUDA out of memory' in line and 'train_dataloader.batch_size' in line
