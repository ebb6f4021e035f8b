"""Every cell of the bench, a loss on an encoder, builds and takes a step."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATA_SAMPLERS, MODELS
from mmpretrain.structures import DataSample
from pytorch_metric_learning import losses

from dva_mm import load_config
from dva_mm.models import DVAHead, DVARetriever, MetricLearningHead

ROOT = Path(__file__).resolve().parents[1] / 'configs'
LOSSES = sorted(path.stem for path in (ROOT / '_base_' / 'losses').glob('*.py'))
ENCODERS = sorted(path.stem for path in (ROOT / '_base_' / 'encoders').glob('*.py'))
CLASSES, WIDTH = 6, 192


def load(
    monkeypatch: pytest.MonkeyPatch, loss: str, encoder: str, name: str = 'baseline_cub.py'
) -> Config:
    monkeypatch.setenv('LOSS', loss)
    monkeypatch.setenv('ENCODER', encoder)
    return load_config(ROOT / name)


def build(cfg: Config) -> DVARetriever:
    """The config's model with two random blocks of DeiT-Tiny's width."""
    init_default_scope('mmpretrain')
    model = copy.deepcopy(cfg.model)
    model.backbone.update(
        arch=dict(
            type='VisionTransformer',
            arch=dict(embed_dims=WIDTH, num_layers=2, num_heads=3, feedforward_channels=WIDTH),
            patch_size=16,
        ),
        pretrained=False,
        img_size=32,
    )
    model.head.num_classes = CLASSES
    built = MODELS.build(model)
    built.init_weights()
    return built


def test_the_bench_has_the_losses_and_encoders_that_the_docs_name():
    losses = 'arcface contrastive dva_proxies multi_similarity proxy_anchor proxy_nca_pp smooth_ap'
    assert f'{losses} soft_triple supcon triplet_semihard'.split() == LOSSES
    encoders = 'adaptformer bitfit full ica linear lora vpt_deep vpt_shallow'
    assert encoders.split() == ENCODERS


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('encoder', ENCODERS)
def test_every_cell_builds_and_takes_a_step(monkeypatch, loss, encoder):
    if encoder == 'lora':
        pytest.importorskip('peft')
    cfg = load(monkeypatch, loss, encoder)
    assert cfg.work_dir == f'work_dirs/baseline_cub/{loss}_{encoder}'
    model = build(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trained = [p for group in wrapper.optimizer.param_groups for p in group['params']]
    assert {id(p) for p in trained} == {id(p) for p in model.parameters() if p.requires_grad}
    before = [p.detach().clone() for p in model.parameters()]
    images = cfg.train_dataloader.batch_sampler.m
    classes, rest = divmod(cfg.train_dataloader.batch_size, images)
    assert rest == 0
    labels = (torch.arange(classes) % CLASSES).repeat_interleave(images)
    samples = [DataSample().set_gt_label(label) for label in labels]
    values = model.loss(torch.randn(len(labels), 3, 32, 32), samples)
    assert all(value.isfinite() for value in values.values())
    wrapper.update_params(sum(value for name, value in values.items() if 'loss' in name))
    pairs = zip(model.named_parameters(), before, strict=True)
    moved = {name: p for (name, p), old in pairs if not torch.equal(p, old)}
    assert all(p.requires_grad for p in moved.values())
    # What does not fall to the loss alone: the encoder or its embedding moves as well.
    assert any(not name.startswith('head.') for name in moved)


def test_each_encoder_is_the_one_that_its_file_names(monkeypatch):
    found = {name: load(monkeypatch, 'supcon', name).model for name in ENCODERS}
    names = [model.backbone.tuning and model.backbone.tuning.type for model in found.values()]
    assert names == ['AdaptFormer', 'BitFit', 'Full', 'ICA', None, 'LoRA', 'VPTDeep', 'VPTShallow']
    assert [name for name, model in found.items() if model.neck] == ['linear']


@pytest.mark.parametrize('loss', LOSSES)
def test_each_loss_is_the_one_that_its_file_names(monkeypatch, loss):
    head = build(load(monkeypatch, loss, 'linear')).head
    if loss == 'dva_proxies':
        assert isinstance(head, DVAHead) and head.beta == 0 and head.proxies.shape == (CLASSES, 512)
        return
    cls, learned = dict(
        arcface=(losses.ArcFaceLoss, CLASSES),
        contrastive=(losses.ContrastiveLoss, 0),
        multi_similarity=(losses.MultiSimilarityLoss, 0),
        proxy_anchor=(losses.ProxyAnchorLoss, CLASSES),
        proxy_nca_pp=(losses.NormalizedSoftmaxLoss, CLASSES),
        smooth_ap=(losses.SmoothAPLoss, 0),
        soft_triple=(losses.SoftTripleLoss, 10 * CLASSES),
        supcon=(losses.SupConLoss, 0),
        triplet_semihard=(losses.TripletMarginLoss, 0),
    )[loss]
    assert isinstance(head, MetricLearningHead) and type(head.loss_function) is cls
    assert sum(p.numel() for p in head.parameters()) == 512 * learned
    assert (head.miner is not None) == (loss in ('multi_similarity', 'triplet_semihard'))


def test_proxies_have_their_own_learning_rate(monkeypatch):
    cfg = load(monkeypatch, 'proxy_anchor', 'full')
    wrapper = build_optim_wrapper(build(cfg), cfg.optim_wrapper)
    rates = {group['lr']: len(group['params']) for group in wrapper.optimizer.param_groups}
    assert rates[1e-2] == 1 and rates[1e-5] > 10


def test_both_benches_run_the_same_losses_and_encoders(monkeypatch):
    large = load(monkeypatch, 'smooth_ap', 'vpt_deep')
    small = load(monkeypatch, 'smooth_ap', 'vpt_deep', 'baseline_deit_tiny_folder.py')
    assert small.model.head == large.model.head
    assert small.model.backbone.tuning == large.model.backbone.tuning
    assert small.optim_wrapper == large.optim_wrapper
    for cfg in (large, small):
        assert cfg.train_dataloader.batch_size == 36
        assert dict(cfg.train_dataloader.batch_sampler) == dict(type='MPerClassSampler', m=6)
        assert DATA_SAMPLERS.get('MPerClassSampler') is not None
        assert cfg.train_dataloader.drop_last is False
        assert [step.type for step in cfg.train_dataloader.dataset.pipeline].count('OPA') == 0


def test_an_unknown_loss_is_answered_with_the_known_ones(monkeypatch):
    with pytest.raises(FileNotFoundError, match='proxy_ancor'):
        load(monkeypatch, 'proxy_ancor', 'ica')
