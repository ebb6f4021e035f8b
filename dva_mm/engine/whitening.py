"""Fit the neck Whitening on the training images."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from mmengine import dist
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from .checkpoint import unwrap
from .data import data_sets


@torch.no_grad()
def embedding_moments(
    model: nn.Module, batches: DataLoader, max_images: int | None = None
) -> tuple[Tensor, Tensor, int]:
    """Sums of z and z zᵀ over the unit-norm embeddings z of the encoder, over all processes.

    Args:
        model: A DVARetriever; its encoder's output ahead of the neck counts.
        batches: Of images, as of a test; each process takes its share.
        max_images: Stop after so many images, shared out to the processes and rounded up to the
            same number in each. Defaults to None: all.

    Returns:
        The sums, (C,) and (C, C) in float64, and the number of images.
    """
    training, total, products, count = model.training, 0.0, 0.0, 0
    limit = None if max_images is None else -(-max_images // dist.get_world_size())
    quiet = None if dist.is_main_process() else True
    bar = tqdm(
        batches, 'Whitening', leave=False, disable=quiet, mininterval=1, unit='batch', delay=5
    )
    model.eval()
    for batch in bar:
        inputs = model.data_preprocessor(batch, False)['inputs']
        images = inputs[0] if isinstance(inputs, list | tuple) else inputs
        images = images if limit is None else images[: limit - count]
        z = F.normalize(model.extract_feat(images, stage='backbone')[-1].float(), dim=1).double()
        total, products, count = total + z.sum(dim=0), products + z.T @ z, count + len(z)
        if limit is not None and count >= limit:
            break
    model.train(training)
    number = torch.tensor(float(count), dtype=torch.float64, device=z.device)
    for value in (total, products, number):
        dist.all_reduce(value)
    return total, products, int(number)


@HOOKS.register_module()
class WhiteningHook(Hook):
    """Fit a :class:`~dva_mm.models.Whitening` neck on the training images; none, nothing is done.

    It does so at the end of each epoch that is evaluated and of the last one, ahead of the
    checkpoint: a pass of the training images through the test pipeline. Checkpoints between hold
    the fit of the last evaluated epoch, or none. With EMAHook the averaged model's neck is fitted
    to the averaged encoder.

    Args:
        max_images: Fit on at most so many images, drawn at random once. Defaults to 20,000.

    Raises:
        ValueError: If ``max_images`` is below 2, or the config names no test pipeline.

    >>> hook = WhiteningHook(max_images=5000)
    """

    # After EMAHook's averaging and ahead of CheckpointHook.
    priority = 'LOW'

    def __init__(self, max_images: int = 20_000) -> None:
        if max_images < 2:
            raise ValueError(f'WhiteningHook max_images must be at least 2, got {max_images}')
        self.max_images = max_images
        self.batches: DataLoader | None = None

    def before_train(self, runner: Runner) -> None:
        """Build the loader, so that what is wrong with it shows before the training."""
        if _has_neck(runner.model):
            self.batches = Runner.build_dataloader(training_images(runner.cfg), seed=0)

    def after_train_epoch(self, runner: Runner) -> None:
        """Fit, where this epoch is evaluated or the last."""
        loop, epoch = runner.train_loop, runner.epoch + 1
        if isinstance(loop, EpochBasedTrainLoop) and _due(loop, epoch, loop.max_epochs):
            self._fit(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Fit, where a loop by iterations evaluates or ends here."""
        loop, step = runner.train_loop, runner.iter + 1
        if not isinstance(loop, EpochBasedTrainLoop) and _due(loop, step, loop.max_iters):
            self._fit(runner)

    def _fit(self, runner: Runner) -> None:
        averaged = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
        for model in (unwrap(runner.model), *averaged):
            if _has_neck(model):
                moments = embedding_moments(model, self.batches, self.max_images)
                unwrap(model).neck.fit(*moments)


def check_fitting(runner: Runner) -> None:
    """Raise ValueError for a run that would save a neck Whitening that nothing fits."""
    fits = any(isinstance(hook, WhiteningHook) for hook in runner.hooks)
    if _has_neck(runner.model) and not fits:
        raise ValueError(
            'model.neck is a Whitening, and no hook fits it: set default_hooks.whitening to '
            "dict(type='WhiteningHook')"
        )


def _has_neck(model: nn.Module) -> bool:
    from dva_mm.models import Whitening  # an exported model runs without it

    return isinstance(getattr(unwrap(model), 'neck', None), Whitening)


def _due(loop, done: int, last: int) -> bool:
    evaluated = loop.runner.val_loop is not None and done >= loop.val_begin
    return done == last or (evaluated and done % loop.val_interval == 0)


def training_images(cfg: Config) -> dict:
    """The config of a loader of the training images as a test sees them, in a fixed random order.

    Raises:
        ValueError: If the config has no loader of a validation or a test.

    >>> test = dict(dataset=dict(pipeline=['test']), batch_size=2)
    >>> train = dict(dataset=dict(pipeline=['train']), batch_size=8)
    >>> training_images(Config(dict(val_dataloader=test, train_dataloader=train)))['dataset']
    {'pipeline': ['test']}
    """
    test = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    if not test:
        raise ValueError(
            'model.neck of type Whitening takes its pipeline from val_dataloader or '
            'test_dataloader, and the config has neither'
        )
    loader = deepcopy(Config(dict(val_dataloader=test, train_dataloader=cfg.train_dataloader)))
    pipeline = data_sets(loader, 'val_dataloader')[0].pipeline
    for data in data_sets(loader, 'train_dataloader'):
        data.pipeline = pipeline
    sampler = dict(type='DefaultSampler', shuffle=True, seed=0, round_up=False)
    shown = loader.val_dataloader
    shown.update(dataset=loader.train_dataloader.dataset, sampler=sampler)
    return shown
