"""The losses' way to the log: read from the device in one transfer, and not in each step."""

import math
from collections.abc import Mapping

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor


def read_scalars(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Return the numbers in tensors of one element, by one transfer from each device.

    Args:
        values: Tensors of any floating-point type, or numbers, which stay as they are.

    >>> read_scalars(dict(loss=torch.tensor([0.5]), loss_dpt=torch.tensor(0.25), mined=3))
    {'loss': 0.5, 'loss_dpt': 0.25, 'mined': 3}
    """
    read = dict(values)
    tensors = {name: v.detach().reshape(()) for name, v in read.items() if isinstance(v, Tensor)}
    for device in {tensor.device for tensor in tensors.values()}:
        names = [name for name, tensor in tensors.items() if tensor.device == device]
        numbers = torch.stack([tensors[name] for name in names]).tolist()
        read.update(zip(names, numbers, strict=True))
    return read


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's RuntimeInfoHook, which reads the losses when the LoggerHook is about to log them.

    The values of all steps reach the message hub, in their order, so that the log smooths and
    shows what it did; but a GPU is waited for once an interval of the LoggerHook, and at the end of
    an epoch, instead of once a term in each step. In between, ``train/loss`` of the hub is that
    of the last reading.

    >>> hook = DeferredRuntimeInfoHook()
    """

    def __init__(self) -> None:
        self.interval = 1
        self._steps: list[dict[str, Tensor | float]] = []

    def before_train(self, runner: Runner) -> None:
        """Do as the parent, and find the steps at which the log is written."""
        super().before_train(runner)
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self.interval = math.gcd(*intervals) or 20  # without a LoggerHook

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Keep the step's terms; hand all that are kept to the hub where they are wanted."""
        self._steps.append(
            {k: v.detach() if isinstance(v, Tensor) else v for k, v in (outputs or {}).items()}
        )
        wanted = (
            self.every_n_inner_iters(batch_idx, self.interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        )
        if not wanted:
            return
        steps, self._steps = self._steps, []
        terms = {(i, name): value for i, step in enumerate(steps) for name, value in step.items()}
        for (_, name), value in read_scalars(terms).items():
            runner.message_hub.update_scalar(f'train/{name}', value)
