"""Small hooks of a training run."""

import math

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from mmpretrain.registry import HOOKS


@HOOKS.register_module()
class TrainableParametersHook(Hook):
    """Log the number and the share of the trainable parameters once, at the start."""

    def before_train(self, runner: Runner) -> None:
        """Log the line."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        sizes = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
        total = sum(p.numel() for p in model.parameters())
        encoder = sum(size for name, size in sizes.items() if name.startswith('backbone.'))
        encoder_total = sum(p.numel() for p in model.backbone.parameters())
        runner.logger.info(
            f'trainable parameters: {sum(sizes.values()):,} of {total:,} '
            f'({sum(sizes.values()) / total:.3%}); in the encoder {encoder:,} of '
            f'{encoder_total:,} ({encoder / encoder_total:.3%})'
        )


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make each epoch's random numbers depend on seed, epoch and rank alone.

    A resumed run then repeats what an uninterrupted one does. Works on epoch-based loops; on
    others it leaves the random numbers to MMEngine.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process, and the data set's augmentation."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        set_random_seed((runner.seed + 1_000_003 * runner.epoch + get_rank()) % 2**32)
        dataset = runner.train_dataloader.dataset
        if hasattr(dataset, 'set_epoch'):
            dataset.set_epoch(runner.epoch, runner.seed)


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop at a loss that is NaN or infinite, before a checkpoint could keep the damage.

    Args:
        interval: Look every so many iterations; the last iteration of an epoch is always looked
            at. Each look waits for the device. Defaults to 20.

    Raises:
        ValueError: (in training) naming the loss term, its value and the iteration.
    """

    priority = 'VERY_HIGH'

    def __init__(self, interval: int = 20) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Check every term that the model reported."""
        last = self.is_last_train_iter(runner) or batch_idx + 1 == len(runner.train_dataloader)
        if not last and (batch_idx + 1) % self.interval:
            return
        values = {name: float(torch.as_tensor(v).detach()) for name, v in (outputs or {}).items()}
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if bad:
            raise ValueError(
                f'Training stopped at epoch {runner.epoch + 1}, iteration {batch_idx + 1}: {bad}. '
                f'Checkpoints of earlier epochs in {runner.work_dir} are intact. Lower '
                'optim_wrapper.optimizer.lr, clip gradients (optim_wrapper.clip_grad='
                'dict(max_norm=1.0)), or train without --amp'
            )


@HOOKS.register_module()
class FrozenBaselineHook(Hook):
    """Evaluate before the first step, and log the last evaluation beside it.

    Adapters start at zero, so the first is the frozen encoder; prompts and a neck do not, and the
    log then says 'before training' instead.
    """

    # Last: the evaluation calls other hooks, which must have seen the start of the training.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.frozen: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.title = 'frozen encoder'

    def before_train(self, runner: Runner) -> None:
        """Evaluate, unless the run is resumed, starts from a checkpoint, or has no evaluation."""
        if runner.val_loop is None or runner.iter > 0 or runner.cfg.get('load_from'):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if model.neck is not None or model.backbone.num_prompts > 0:
            self.title = 'before training'
        runner.logger.info(f'evaluating before the first step: {self.title}')
        self.frozen = runner.val_loop.run()
        runner.logger.info(f'{self.title}: {_line(self.frozen)}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the newest figures."""
        self.last = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Log both, one under the other."""
        if self.frozen and runner.epoch > 0:
            runner.logger.info(f'{self.title}: {_line(self.frozen)}')
            runner.logger.info(f'after training: {_line(self.last)}')


def _line(metrics: dict[str, float]) -> str:
    return '  '.join(f'{name.split("/")[-1]} {value:.2f}' for name, value in metrics.items())
