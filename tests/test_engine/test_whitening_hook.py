"""Runs whose neck is whitened by the training images."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from dva_mm.engine import load_adapter
from dva_mm.engine.whitening import check_fitting, embedding_moments, training_images

MakeRunner = Callable[..., Runner]
NECK = "model = dict(neck=dict(type='Whitening', power=1.0))\n"
EMA = NECK + "custom_hooks = [dict(type='EMAHook', momentum=0.3)]\n"
BY_ITERATION = (
    NECK
    + """
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=3)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=9))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=False)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
"""
)


def saved(runner: Runner | Path, name: str) -> dict:
    file = Path(getattr(runner, 'work_dir', runner)) / f'{name}.pth'
    return torch.load(file, weights_only=True)['state_dict']


def naive_fit(runner: Runner, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse covariance of the training images' embeddings, by the saved encoder."""
    load_adapter(runner.model, str(file))
    model, rows = runner.model.eval(), []
    for batch in Runner.build_dataloader(training_images(runner.cfg), seed=3):
        images = model.data_preprocessor(batch)['inputs']
        rows += [model.backbone(image[None])[0][0].detach().double().numpy() for image in images]
    rows = [row / np.linalg.norm(row) for row in rows]
    assert len(rows) == 18
    return np.mean(rows, axis=0), np.cov(np.array(rows).T, bias=True)


@pytest.mark.parametrize('child', [NECK, EMA])
def test_the_saved_neck_is_fitted_to_the_saved_encoder(
    child: str, make_runner: MakeRunner, tmp_path: Path
):
    runner = make_runner(tmp_path, {'train_cfg.max_epochs': 2}, child)
    runner.train()
    validated = runner.message_hub.get_scalar('val/retrieval/Recall@1').current()
    state = saved(runner, 'epoch_2')
    mean, covariance = naive_fit(
        make_runner(tmp_path / 'naive', child=child), tmp_path / 'epoch_2.pth'
    )
    np.testing.assert_allclose(state['neck.mean'], mean, atol=1e-5)
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 1e-6 * variances.max())
    wanted = directions / np.sqrt(variances) @ directions.T
    np.testing.assert_allclose(state['neck.matrix'], wanted, rtol=1e-2, atol=1e-2 * wanted.max())
    tester = make_runner(tmp_path / 'test', child=NECK)
    load_adapter(tester.model, str(tmp_path / 'epoch_2.pth'))
    assert tester.test()['retrieval/Recall@1'] == pytest.approx(validated)


def test_it_is_fitted_where_the_run_is_evaluated_or_ends(make_runner: MakeRunner, tmp_path: Path):
    options = {'train_cfg.val_interval': 2, 'default_hooks.checkpoint.max_keep_ckpts': 9}
    by_epoch = make_runner(tmp_path / 'epoch', options, NECK)
    by_iteration = make_runner(tmp_path / 'iteration', child=BY_ITERATION)
    for runner, names in ((by_epoch, 'epoch_{}'), (by_iteration, 'iter_{}')):
        runner.train()
        count = 3 if runner is by_epoch else 4
        matrices = [saved(runner, names.format(i + 1))['neck.matrix'] for i in range(count)]
        earlier = [torch.eye(32), *matrices[:-1]]
        changed = [not torch.equal(*pair) for pair in zip(earlier, matrices, strict=True)]
        assert changed == (
            [False, True, True] if runner is by_epoch else [False, False, True, True]
        )


def test_fitting_changes_neither_what_is_trained_nor_a_resumed_run(
    make_runner: MakeRunner, trained: Runner, tmp_path: Path
):
    whole = make_runner(tmp_path / 'whole', child=NECK)
    whole.train()
    states = [saved(whole, 'epoch_3'), saved(trained, 'epoch_3')]
    for state in states:
        state.pop('neck.mean', None), state.pop('neck.matrix', None)
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    (tmp_path / 'again').mkdir()
    shutil.copy(tmp_path / 'whole' / 'epoch_2.pth', tmp_path / 'again')
    make_runner(tmp_path / 'again', child=NECK, resume='auto').train()
    one, other = saved(whole, 'epoch_3'), saved(tmp_path / 'again', 'epoch_3')
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_no_more_images_than_asked_are_embedded(trained: Runner):
    batches = Runner.build_dataloader(training_images(trained.cfg), seed=0)
    assert [embedding_moments(trained.model, batches, n)[2] for n in (None, 100, 9)] == [18, 18, 9]
    total, products, count = embedding_moments(trained.model, batches)
    assert products.trace() == pytest.approx(count)  # of unit vectors
    assert total.shape == (32,)


def test_a_neck_that_nothing_fits_is_refused(make_runner: MakeRunner, tmp_path: Path):
    check_fitting(make_runner(tmp_path / 'fits', child=NECK))
    without = make_runner(tmp_path, child=NECK + 'default_hooks = dict(whitening=None)\n')
    with pytest.raises(ValueError, match='WhiteningHook'):
        check_fitting(without)


def test_a_config_without_a_test_pipeline_is_refused_before_training(
    make_runner: MakeRunner, tmp_path: Path
):
    none = 'val_dataloader = val_cfg = val_evaluator = None\n'
    none += 'test_dataloader = test_cfg = test_evaluator = None\n'
    runner = make_runner(tmp_path, child=NECK + none)
    with pytest.raises(ValueError, match='val_dataloader'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))
