"""What a run was and what it gave, as one JSON file."""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from dva_mm.files import replace_atomically

from .checkpoint import unwrap
from .hooks import FrozenBaselineHook


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write a run's figures to a JSON file after each epoch and each evaluation.

    The file holds ``trainable`` and ``parameters``, the numbers of trained and of all parameters
    of the model; ``trainable_in_encoder``; ``embedding``, the length of an embedding; ``frozen``,
    the figures before the first step; ``epochs``, for each its number, ``seconds`` of training,
    ``step_seconds``, the median of its steps, and ``metrics``, where it was evaluated; of a test
    ``metrics``; ``memory_mb``, the largest resident memory of this process, and ``cuda_mb``, of
    this process on its GPU. A resumed run goes on from the file.

    Args:
        out: The JSON file. Defaults to ``record.json`` in the work directory.

    >>> hook = RunRecordHook(out='work_dirs/birds/record.json')
    """

    # After the hooks whose figures it keeps.
    priority = 'LOWEST'

    def __init__(self, out: str | None = None) -> None:
        self.out = None if out is None else Path(out)
        self.record: dict = {}
        self.started = self.step_started = 0.0
        self.steps: list[float] = []

    def before_train(self, runner: Runner) -> None:
        """Count the parameters; go on from the file of a resumed run."""
        self._begin(runner)
        if runner.iter and self.out.is_file():
            old = json.loads(self.out.read_text())
            self.record |= dict(frozen=old['frozen'], embedding=old['embedding'])
            self.record['epochs'] = [e for e in old['epochs'] if e['epoch'] <= runner.epoch]
            self.record |= {name: old[name] for name in ('memory_mb', 'cuda_mb')}
        for hook in runner.hooks:
            if isinstance(hook, FrozenBaselineHook) and hook.frozen:
                self.record['frozen'] = dict(hook.frozen)
        self._write()

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self.started = self.step_started = time.monotonic()
        self.steps = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Take the time of a step, loading included."""
        now = time.monotonic()
        self.steps.append(now - self.step_started)
        self.step_started = now

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the times of the epoch."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            epoch = self._epoch(runner.epoch + 1)
            epoch['seconds'] = round(time.monotonic() - self.started, 3)
            epoch['step_seconds'] = round(statistics.median(self.steps), 4)
            self._write()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Note how long an embedding is."""
        if outputs and 'embedding' in outputs[0]:
            self.record['embedding'] = outputs[0].embedding.numel()

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the figures of the epoch."""
        self._epoch(runner.epoch)['metrics'] = dict(metrics or {})
        self._write()

    def after_train(self, runner: Runner) -> None:
        """Evaluate a run that was cut between its last checkpoint and its last figures."""
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if runner.val_loop is None or not by_epoch or not runner.epoch:
            return
        if 'metrics' not in self._epoch(runner.epoch):
            runner.val_loop.run()

    def before_test(self, runner: Runner) -> None:
        """Count the parameters."""
        self._begin(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the figures of the test."""
        self.record['metrics'] = dict(metrics or {})
        self._write()

    def _begin(self, runner: Runner) -> None:
        self.out = self.out or Path(runner.work_dir) / 'record.json'
        model = unwrap(runner.model)
        encoder = getattr(model, 'backbone', None)
        self.record = dict(
            trainable=_count(model, trained=True),
            trainable_in_encoder=_count(encoder, trained=True),
            parameters=_count(model, trained=False),
            embedding=None,
            frozen={},
            epochs=[],
            memory_mb=0.0,
            cuda_mb=None,
        )

    def _epoch(self, number: int) -> dict:
        """The entry of an epoch, made if need be."""
        epochs = self.record['epochs']
        if not epochs or epochs[-1]['epoch'] != number:
            epochs.append(dict(epoch=number))
        return epochs[-1]

    def _write(self) -> None:
        self.record['memory_mb'] = round(max(_peak_memory(), self.record['memory_mb']), 1)
        if torch.cuda.is_available():
            used = torch.cuda.max_memory_allocated() / 2**20
            self.record['cuda_mb'] = round(max(used, self.record['cuda_mb'] or 0.0), 1)
        if is_main_process():
            with replace_atomically(self.out) as partial:
                partial.write_text(json.dumps(self.record, indent=1) + '\n')


def _count(module: torch.nn.Module | None, trained: bool) -> int:
    parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
    return sum(p.numel() for p in parameters if p.requires_grad or not trained)


def _peak_memory() -> float:
    """Largest resident memory of this process in MB; 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 2**20 if sys.platform == 'darwin' else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
