"""Going on with a run: from which checkpoint, and on which schedule."""

import os
import re
import warnings
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint
from mmpretrain.registry import HOOKS

from .checkpoint import UNREADABLE


def set_resume(cfg: Config, choice: str | None) -> None:
    """Set ``resume`` and ``load_from`` of a config for ``--resume``, alike in all processes.

    Args:
        cfg: Config of a run, changed in place.
        choice: A checkpoint, 'auto' for the newest that can be resumed (a run without any starts
            anew), or None for the config's own ``resume`` and ``load_from``.

    Raises:
        FileNotFoundError, ValueError: As :func:`find_resumable`.

    >>> cfg = Config(dict(work_dir='/nowhere', load_from='dva.pth'))
    >>> set_resume(cfg, 'auto')
    --resume: no checkpoint in /nowhere yet, starting anew
    >>> cfg.resume, cfg.load_from
    (False, 'dva.pth')
    """
    if choice is None and cfg.get('resume') and not cfg.get('load_from'):
        choice = 'auto'
    if choice is None:
        return
    found: list = [None]
    if is_main_process():
        try:
            found = [find_resumable(checkpoint_files(cfg) if choice == 'auto' else [Path(choice)])]
        except (ValueError, FileNotFoundError) as error:  # raised in all processes, below
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    cfg.resume = found[0] is not None
    if not cfg.resume:
        print_log(f'--resume: no checkpoint in {cfg.work_dir} yet, starting anew')
    elif not Path(found[0]).is_file():
        raise FileNotFoundError(f'--resume: {found[0]} does not exist on this machine; share it')
    else:
        cfg.load_from = found[0]


def find_resumable(files: list[Path]) -> str | None:
    """Return the first checkpoint that can be resumed (none is torn), or None where there are none.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If none can be resumed, with each and its fault.

    >>> find_resumable([])
    """
    faults = []
    for path in files:
        fault = 'holds no state of an optimizer'
        try:
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
            if isinstance(checkpoint, dict) and 'optimizer' in checkpoint:
                return str(path)
        except FileNotFoundError:
            raise FileNotFoundError(f'--resume: {path} does not exist') from None
        except UNREADABLE as error:
            reason = str(error).strip().split('\n')[0] or type(error).__name__
            fault = f'cannot be read: {reason}'
        faults.append(f'{path} {fault}')
        print_log(f'--resume: {faults[-1]}', logger='current')
    if faults:
        raise ValueError(
            '\n  '.join(['--resume: none of the checkpoints can be resumed:', *faults])
            + '\nTo start anew without overwriting them, move them away or set another --work-dir; '
            'to start from weights alone, --cfg-options load_from=FILE. What can be resumed, the '
            'hooks default_hooks.checkpoint and default_hooks.adapter_checkpoint save together'
        )
    return None


def checkpoint_files(cfg: Config) -> list[Path]:
    """List the checkpoints that a run's CheckpointHook saved, the newest first.

    Where none has its name, the file that the work directory's ``last_checkpoint`` names.

    Raises:
        ValueError: If ``out_dir`` of the hook is no local folder.

    >>> checkpoint_files(Config(dict(work_dir='/nowhere')))
    []
    """
    options = (cfg.get('default_hooks') or {}).get('checkpoint', {})
    if options is None:  # switched off
        return []
    hook = HOOKS.build({'type': 'CheckpointHook', **options})
    folder = work_dir = os.path.abspath(cfg.work_dir)
    if '://' in str(hook.out_dir):
        raise ValueError(f'--resume cannot list out_dir {hook.out_dir}: give --resume FILE')
    if hook.out_dir not in (None, work_dir):
        folder = os.path.join(hook.out_dir, os.path.basename(work_dir))  # as CheckpointHook does
    template = Path(folder, hook.filename_tmpl)
    pattern = re.sub(r'\\{.*?\\}', r'(\\d+)', re.escape(template.name))  # {} or {:03d} -> digits
    matches = [(re.fullmatch(pattern, path.name), path) for path in template.parent.glob('*')]
    found = sorted(((int(m[1]), path) for m, path in matches if m), reverse=True)
    if not found and Path(work_dir, 'last_checkpoint').is_file():
        found = [(0, Path(find_latest_checkpoint(work_dir).strip()))]
    return [path for _, path in found if path.is_file()]


def last_checkpoint(runner: Runner) -> str | None:
    """Return the checkpoint that a run saved last, else the one it was resumed from, or None.

    >>> from types import SimpleNamespace as Stub
    >>> last_checkpoint(Stub(message_hub=Stub(runtime_info={}), cfg={}))
    """
    resumed = runner.cfg.get('load_from') if runner.cfg.get('resume') else None
    files = runner.message_hub.runtime_info.get('last_ckpt'), resumed
    return next((str(path) for path in files if path and Path(path).is_file()), None)


@HOOKS.register_module()
class ResumedScheduleHook(Hook):
    """Take a resumed run on along the config's schedule, where the checkpoint's is another.

    MMEngine restores the schedulers with the length they had: a cosine would stay at its end after
    ``train_cfg.max_epochs`` was raised. Here the learning rate is that of the config's schedule at
    this step. Schedulers that depend on metrics are left alone.

    The counts of steps in the optimiser's state go to the CPU, where Adam keeps them itself:
    MMEngine loads them to the GPU, from which Adam would read each of them in every step. An
    optimiser that wants them there (``fused`` or ``capturable``) takes them back.

    >>> hook = ResumedScheduleHook()
    """

    priority = 'HIGH'
    saved: list[dict] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the schedulers' states of the checkpoint, and move counts of steps to the CPU."""
        self.saved = checkpoint.get('param_schedulers')
        for state in checkpoint.get('optimizer', {}).get('state', {}).values():
            if isinstance(state.get('step'), torch.Tensor):
                state['step'] = state['step'].cpu()

    def before_train(self, runner: Runner) -> None:
        """Compare the schedules of a resumed run; follow the config's, and say so."""
        config, built = runner.cfg.get('param_scheduler'), runner.param_schedulers
        if runner.iter == 0 or not config or not isinstance(built, list):
            return
        if runner.iter >= runner.max_iters:
            runner.logger.info('nothing is left to train; raise train_cfg.max_epochs to go on')
            return
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in built):
            return
        groups = runner.optim_wrapper.param_groups
        names = [key for key in groups[0] if f'initial_{key}' in groups[0]]
        resumed = [{name: group[name] for name in names} for group in groups]
        for group in groups:
            group.update({name: group[f'initial_{name}'] for name in names})
        configured = runner.build_param_scheduler(config)
        if _alike(self.saved or [], [scheduler.state_dict() for scheduler in configured]):
            for group, values in zip(groups, resumed, strict=True):
                group.update(values)
            return
        _advance(configured, runner)
        runner.param_schedulers = configured
        runner.logger.warning(
            'the schedule of the config is not that of the checkpoint (was train_cfg.max_epochs '
            f'changed?): training goes on at iteration {runner.iter} of the {runner.max_iters} of '
            f'the config, learning rate {groups[0]["lr"]:.3g} instead of {resumed[0]["lr"]:.3g}. '
            'For a schedule from its start, begin a new run with load_from=CHECKPOINT'
        )


def _alike(saved: list[dict], configured: list[dict]) -> bool:
    progress = {'last_step', '_global_step', '_last_value', 'base_values', 'verbose'}
    return len(saved) == len(configured) and all(
        old[key] == new.get(key)
        for old, new in zip(saved, configured, strict=True)
        for key in old.keys() - progress
    )


def _advance(schedulers: list, runner: Runner) -> None:
    """Step new schedulers to where the run is, in the order in which training steps them."""
    by_epoch = [False] * runner.iter  # of each step: after an iteration, or after an epoch
    for epoch in range(runner.epoch, 0, -1):
        by_epoch.insert(epoch * len(runner.train_dataloader), True)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Detected call of', UserWarning)
        for step in by_epoch:
            for scheduler in schedulers:
                if scheduler.by_epoch == step:
                    scheduler.step()
