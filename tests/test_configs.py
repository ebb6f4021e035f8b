"""Every shipped config loads and builds: model, pipelines, evaluators, optimiser and hooks."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import yaml
from mmengine.config import Config, ConfigDict
from mmengine.dataset import default_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain import get_model, list_models
from mmpretrain.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)

import dva_mm
from dva_mm import load_config
from dva_mm.models import DVARetriever, FrozenViT

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob('*.py'))
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture(params=CONFIGS)
def cfg(request: pytest.FixtureRequest) -> Config:
    init_default_scope('mmpretrain')
    return load_config(ROOT / request.param)


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / 'image.png'
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return str(path)


def model_config(cfg: Config) -> ConfigDict:
    """The model's config with random weights, and a small ViT in place of a large one."""
    model = copy.deepcopy(cfg.model)
    if model.backbone.type == 'FrozenViT':
        model.backbone.pretrained = False
        if '_base_' in model.backbone.arch:
            model.backbone.arch = 'vit_tiny_patch16_224'
    if model.head.get('num_classes') is None:
        model.head.num_classes = 4
    return model


def batch(cfg: Config, loader: str, image: str) -> dict:
    """Two images through a loader's pipeline."""
    steps = [TRANSFORMS.build(step) for step in cfg[loader].dataset.pipeline]
    items = []
    for label in range(2):
        item = dict(img_path=image, gt_label=label, box=np.array([40, 30, 120, 90], np.float32))
        for step in steps:
            item = step(item)
        items.append(item)
    return default_collate(items)


def test_the_encoder_is_one_whose_weights_can_be_had(cfg: Config):
    backbone = cfg.model.backbone
    if backbone.type == 'FrozenViT' and isinstance(backbone.arch, str):
        assert backbone.pretrained is True
        full, default = timm.list_models(pretrained=True), timm.list_models()
        assert backbone.arch in full + default
    elif backbone.type == 'FrozenViT':
        assert Path(backbone.pretrained).parent == ROOT / 'demo'


def test_the_model_trains_and_tests_on_what_the_pipelines_make(cfg: Config, image: str):
    model = MODELS.build(model_config(cfg))
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    trained = [p for group in wrapper.optimizer.param_groups for p in group['params']]
    if isinstance(model.backbone, FrozenViT):
        assert {id(p) for p in trained} == {id(p) for p in model.parameters() if p.requires_grad}
        beside_mlps = 'fc1' in (cfg.model.backbone.get('tuning') or {}).get('targets', ())
        share = sum(p.numel() for p in trained) / sum(p.numel() for p in model.parameters())
        assert 0 < share < (1 / 3 if beside_mlps else 1 / 5)
    data = model.data_preprocessor(batch(cfg, 'train_dataloader', image), training=True)
    views = data['inputs'] if isinstance(data['inputs'], list) else [data['inputs']]
    if isinstance(model, DVARetriever):
        size = (2, 3, model.backbone.img_size, model.backbone.img_size)
        assert all(view.shape == size for view in views)
        three = getattr(model.head, 'beta', 0) > 0 or model.head.uses_background
        assert three == (len(views) == 3 or 'object_patches' in data['data_samples'][0])
    losses = model(**data, mode='loss')
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    data = model.data_preprocessor(batch(cfg, 'val_dataloader', image), training=False)
    if isinstance(model, DVARetriever):
        assert data['inputs'].shape == size
    samples = model.eval()(**data, mode='predict')
    assert len(samples) == 2


def test_the_data_sets_are_asked_for_by_root_and_split(cfg: Config):
    for name in LOADERS:
        if not cfg.get(name):
            assert cfg.model.type != 'DVARetriever'
            continue
        dataset = cfg[name].dataset
        assert DATASETS.get(dataset.type) is not None
        assert DATA_SAMPLERS.get(cfg[name].sampler.type) is not None
        assert not Path(dataset.data_root).is_absolute()
        training = name == 'train_dataloader'
        assert (dataset.get('split', dataset.get('data_prefix')) == 'train') is training
        if dataset.type == 'FineGrainedDataset':
            known = {'type', 'data_root', 'reader', 'protocol', 'split', 'pipeline'}
            assert set(dataset) <= known | ({'boxes'} if training else set())

    # The fill of OPA is what the preprocessor subtracts.
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    if 'OPA' in steps:
        opa = TRANSFORMS.build(steps['OPA'])
        assert opa.fill[::-1] == pytest.approx(cfg.model.data_preprocessor.mean)
        assert cfg.model.data_preprocessor.to_rgb is True
        assert 'has_background' in steps['PackInputs'].algorithm_keys


def test_hooks_evaluators_and_schedulers_build(cfg: Config):
    hooks = [*cfg.default_hooks.values(), *cfg.get('custom_hooks', [])]
    hooks = [HOOKS.build(hook) for hook in hooks]
    names = {type(hook).__name__ for hook in hooks}
    assert {'CheckpointHook', 'EpochSeedHook', 'NonFiniteLossHook'} <= names
    if cfg.model.type == 'DVARetriever':
        assert {'AdapterCheckpointHook', 'FrozenBaselineHook', 'TrainableParametersHook'} <= names
    for name in ('val_evaluator', 'test_evaluator'):
        if not cfg.get(name):
            assert cfg.model.type != 'DVARetriever'
            continue
        metrics = cfg[name] if isinstance(cfg[name], list) else [cfg[name]]
        Evaluator([METRICS.build(metric) for metric in metrics])
    schedulers = cfg.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        assert PARAM_SCHEDULERS.get(scheduler.type) is not None
    assert VISUALIZERS.get(cfg.visualizer.type) is not None
    assert cfg.train_cfg.max_epochs > 0
    assert cfg.default_hooks.checkpoint.max_keep_ckpts >= 2


def test_mmpretrain_lists_our_models_and_builds_one_by_name():
    index = yaml.safe_load((ROOT.parent / 'model-index.yml').read_text())
    names = {model['Name']: model['Config'] for model in index['Models']}
    assert {f'configs/{name}.py' for name in names} == set(names.values())
    assert {f'{name}.py' for name in names} == {c for c in CONFIGS if 'baseline' not in c}
    dva_mm.register()  # a second time changes nothing
    assert set(list_models('dva*') + list_models('ica*')) == set(names)
    model = get_model('dva_demo', head=None)
    assert isinstance(model, DVARetriever) and isinstance(model.backbone, FrozenViT)
