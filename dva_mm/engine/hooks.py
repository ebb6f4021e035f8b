"""Small hooks of a training run."""

import math

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, ValLoop, autocast, set_random_seed
from mmpretrain.registry import HOOKS
from tqdm import tqdm

from .checkpoint import unwrap
from .runtime_info import read_scalars


def prepare_hooks(cfg: Config) -> None:
    """Drop hooks that MMEngine's Runner would fail on, in place.

    These are None in ``default_hooks``, which the Runner takes for its own six names alone, and
    without ``train_cfg`` the EarlyStoppingHook.

    >>> cfg = Config(dict(default_hooks=dict(frozen_baseline=None, timer=None)))
    >>> prepare_hooks(cfg)
    >>> cfg.default_hooks
    {'timer': None}
    """
    names = ['runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint']
    hooks = cfg.get('default_hooks') or {}
    training = [] if cfg.get('train_cfg') else ['EarlyStoppingHook']
    for name, hook in list(hooks.items()):
        if name not in names and (hook is None or hook.get('type') in training):
            hooks.pop(name)
    if cfg.get('custom_hooks'):
        cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.get('type') not in training]


@HOOKS.register_module()
class TrainableParametersHook(Hook):
    """Log the number and the share of the trainable parameters once, at the start.

    >>> hook = TrainableParametersHook()
    """

    def before_train(self, runner: Runner) -> None:
        """Log the line; of a model without ``backbone``, for the whole model alone."""
        model = unwrap(runner.model)
        text = f'trainable parameters: {_share(model)}'
        if isinstance(getattr(model, 'backbone', None), torch.nn.Module):
            text += f'; in the encoder {_share(model.backbone)}'
        runner.logger.info(text)


def _share(module: torch.nn.Module) -> str:
    trains = sum(p.numel() for p in module.parameters() if p.requires_grad)
    total = sum(p.numel() for p in module.parameters())
    return f'{trains:,} of {total:,} ({trains / max(total, 1):.3%})'


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show the steps done, their pace, the time left and the loss, in a bar on a terminal.

    Elsewhere (a file, a pipe) there is no bar, and the log alone tells the progress.

    >>> hook = ProgressBarHook()
    """

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the bar, at the step from which a resumed run goes on."""
        self.bar = tqdm(
            desc='Training',
            unit='step',
            total=runner.max_iters,
            initial=runner.iter,
            disable=None if is_main_process() else True,
            mininterval=0.5,
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Move the bar by one step."""
        if self.bar.disable:  # reading the loss would wait for the device
            return
        self.bar.update()
        if outputs and 'loss' in outputs and self.every_n_train_iters(runner, 10):
            self.bar.set_postfix(loss=f'{float(outputs["loss"]):.3f}', refresh=False)

    def after_train(self, runner: Runner) -> None:
        """Leave the bar as it is, and end its line."""
        self.bar.close()


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make each epoch's random numbers depend on seed, epoch and rank alone, also when resumed.

    Loops that are not by epoch keep MMEngine's random numbers.

    >>> hook = EpochSeedHook()
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
        ValueError: In training, with the loss term, its value and the iteration.

    >>> hook = NonFiniteLossHook(interval=100)
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
        values = read_scalars(outputs or {})
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if bad:
            saved = runner.message_hub.runtime_info.get('last_ckpt')
            raise ValueError(
                f'Training stopped at epoch {runner.epoch + 1}, iteration {batch_idx + 1}: {bad}. '
                f'The last checkpoint is intact: {saved}. Lower optim_wrapper.optimizer.lr, clip '
                'gradients (optim_wrapper.clip_grad=dict(max_norm=1.0)), or train without --amp'
            )


@HOOKS.register_module()
class InterpolationHook(Hook):
    """Test an encoder between the pre-trained and the tuned one; for runs that test alone.

    See :meth:`~dva_mm.models.FrozenViT.interpolate`.

    Args:
        share: 0 for the pre-trained encoder, 1 for the tuned one. Defaults to 0.5.

    Raises:
        ValueError: In a training, or for another encoder than FrozenViT.

    >>> hook = InterpolationHook(share=0.8)
    """

    # After EMAHook has put the averaged weights in place.
    priority = 'LOW'

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def before_train(self, runner: Runner) -> None:
        """Refuse."""
        raise ValueError('InterpolationHook changes the encoder for a test; take it out to train')

    def before_test_epoch(self, runner: Runner) -> None:
        """Interpolate; the checkpoint is loaded by now."""
        encoder = getattr(unwrap(runner.model), 'backbone', None)
        if not hasattr(encoder, 'interpolate'):
            raise ValueError(f'InterpolationHook needs a FrozenViT, got {type(encoder).__name__}')
        encoder.interpolate(self.share)


@HOOKS.register_module()
class FrozenBaselineHook(Hook):
    """Evaluate before the first step, and log the last evaluation beside it.

    Adapters start at zero, so this is the frozen encoder; with prompts, a neck or another backbone
    the log says 'before training'. Other hooks do not see it: it is no epoch's and never the best.
    Its scalars are named ``before_training/...``.

    >>> hook = FrozenBaselineHook()
    """

    # Last: other hooks must have seen the start of the training, such as a loaded model.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.frozen: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.title = 'frozen encoder'

    def before_train(self, runner: Runner) -> None:
        """Evaluate, unless the run is resumed, starts from a checkpoint, or has no evaluation."""
        loaded = runner.iter > 0 or runner.cfg.get('load_from')
        if loaded or not isinstance(runner.val_loop, ValLoop):
            return
        model = unwrap(runner.model)
        backbone, neck = (getattr(model, name, None) for name in ('backbone', 'neck'))
        starts_frozen = hasattr(backbone, 'encoder_info') and neck is None
        if not starts_frozen or getattr(backbone, 'num_prompts', 0):
            self.title = 'before training'
        runner.logger.info(f'evaluating before the first step: {self.title}')
        self.frozen = _evaluate(runner)
        scalars = {f'before_training/{name}': value for name, value in self.frozen.items()}
        runner.visualizer.add_scalars(scalars, step=0)
        runner.logger.info(f'{self.title}: {_line(self.frozen)}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the newest figures."""
        self.last = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Log both, one under the other."""
        if self.frozen and self.last:
            runner.logger.info(f'{self.title}: {_line(self.frozen)}')
            runner.logger.info(f'after training: {_line(self.last)}')


def _evaluate(runner: Runner) -> dict[str, float]:
    """Do what ``runner.val_loop`` does, without calling any hook."""
    loop, training = runner.val_loop, runner.model.training
    runner.model.eval()
    with torch.no_grad(), autocast(enabled=loop.fp16):
        for batch in loop.dataloader:
            outputs = runner.model.val_step(batch)
            loop.evaluator.process(data_samples=outputs, data_batch=batch)
    metrics = loop.evaluator.evaluate(len(loop.dataloader.dataset))
    runner.model.train(training)
    return metrics


def _line(metrics: dict[str, float]) -> str:
    return '  '.join(f'{name.split("/")[-1]} {value:.2f}' for name, value in metrics.items())
