"""What the commands train and test run: arguments -> config -> Runner."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.dist import init_dist, is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from dva_mm.arguments import make_parser
from dva_mm.config import load_config
from dva_mm.files import check_writable, replace_atomically
from dva_mm.screen import quieten

from .data import LOADERS, check_datasets, data_sets, merge_options
from .hooks import prepare_hooks
from .optim import check_schedule
from .publish import load_adapter
from .resume import last_checkpoint, set_resume
from .speed import set_speed
from .whitening import check_fitting

VALIDATION = ('val_cfg', 'val_dataloader', 'val_evaluator')


def train(argv: list[str] | None = None) -> None:
    """Train a config: ``dva-mm train CONFIG [options]``, with mmpretrain's options."""
    args = make_parser('train').parse_args(argv)
    cfg = _load(args)
    for name in VALIDATION if args.no_validate else ():
        cfg[name] = None
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config'
            )
        cfg.auto_scale_lr.enable = True
    check_schedule(cfg)
    _start_processes(cfg)
    set_resume(cfg, args.resume)
    runner = _build_runner(cfg)
    check_fitting(runner)
    runner.train()
    if is_main_process():
        log, checkpoint = Path(runner.log_dir) / f'{runner.timestamp}.log', last_checkpoint(runner)
        print(f'checkpoint: {checkpoint}\nlog: {log}')
        if checkpoint and runner.val_loop is not None:
            print(next_commands(args.config, checkpoint, runner.val_dataloader.dataset))


def next_commands(config: str, checkpoint: str, dataset: Sequence[dict]) -> str:
    """Say how to index, search and look at the images of a data set with what was trained.

    Args:
        config: Path or ``dva_mm::`` name of the config.
        checkpoint: Path of the checkpoint.
        dataset: MMEngine's ``BaseDataset``, whose items have an ``img_path``.

    >>> class Images(list):
    ...     get_data_info = list.__getitem__
    >>> images = Images([dict(img_path='birds/jay/1.jpg'), dict(img_path='birds/tit/1.jpg')])
    >>> print(next_commands('jay.py', 'jay.pth', images))
    next, index the images, search them, and look at the ranking:
      dva-mm index birds --model jay.py --checkpoint jay.pth --labels folder --out jay.index
      dva-mm search jay.index birds/jay/1.jpg -k 20 --exclude-self --html hits.html
      dva-mm show jay.py jay.pth --out jay.html
    """
    paths = [dataset.get_data_info(index)['img_path'] for index in (0, len(dataset) - 1)]
    name = Path(config.split('::')[-1]).stem
    lines = (
        f'dva-mm index {quote(os.path.commonpath(paths))} --model {quote(config)} '
        f'--checkpoint {quote(checkpoint)} --labels folder --out {name}.index',
        f'dva-mm search {name}.index {quote(paths[0])} -k 20 --exclude-self --html hits.html',
        f'dva-mm show {quote(config)} {quote(checkpoint)} --out {name}.html',
    )
    return '\n  '.join(('next, index the images, search them, and look at the ranking:', *lines))


def test(argv: list[str] | None = None) -> None:
    """Test a checkpoint: ``dva-mm test CONFIG [CHECKPOINT] [options]``.

    Prints the metrics and saves them as JSON. Without a checkpoint it tests the frozen encoder.
    """
    args = make_parser('test').parse_args(argv)
    if args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'the checkpoint {args.checkpoint} does not exist')
    cfg = _load(args)
    out = check_writable(args.out or Path(cfg.work_dir) / 'metrics.json', '--out')
    # Testing embeds images: no training data, no proxies, no optimiser.
    training = ('load_from', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler')
    for name in (*training, *VALIDATION):
        cfg[name] = None
    cfg.model.head = None
    if not args.checkpoint:  # what only training fills stays out
        cfg.model.neck = None
        if cfg.model.backbone.get('tuning'):
            cfg.model.backbone.tuning = None
    _start_processes(cfg)
    runner = _build_runner(cfg)
    if args.checkpoint:
        load_adapter(runner.model, args.checkpoint)
    else:
        runner.logger.info('no checkpoint given: testing the frozen encoder')
    metrics = runner.test()
    if is_main_process():
        record = dict(config=args.config, checkpoint=args.checkpoint, metrics=metrics)
        with replace_atomically(out) as partial:
            partial.write_text(json.dumps(record, indent=2) + '\n')
        for name, value in metrics.items():
            print(f'{name}: {value:.4f}')
        print(f'metrics: {out}')


def _load(args: argparse.Namespace) -> Config:
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    for loader in (cfg[name] for name in LOADERS if cfg.get(name)):
        loader.setdefault('pin_memory', torch.cuda.is_available() and not args.no_pin_memory)
        persistent = not getattr(args, 'no_persistent_workers', False)
        loader.setdefault('persistent_workers', persistent and loader.get('num_workers', 0) > 0)
        loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
    cfg.launcher = args.launcher
    work_dir = args.work_dir or cfg.get('work_dir')
    if not work_dir:
        name = Path(args.config.split('::')[-1]).stem
        closed = 'closed' in [data.get('protocol') for data in data_sets(cfg)]
        work_dir = Path('work_dirs') / (name + '_closed' * (closed and 'closed' not in name))
    cfg.work_dir = str(check_writable(Path(work_dir) / 'run.log', '--work-dir').parent)
    set_speed(cfg, args.amp)
    return cfg


def _start_processes(cfg: Config) -> None:
    """Join this process to the others of a launcher; without a GPU for each, through gloo."""
    if cfg.launcher == 'none':
        return
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    if gpus and processes <= gpus:
        init_dist(cfg.launcher, **cfg.env_cfg.dist_cfg)
        return
    if gpus and cfg.env_cfg.dist_cfg.get('backend') != 'gloo':
        raise ValueError(
            f'{processes} processes on a machine with {gpus} GPUs: start {gpus}, or let them '
            'share the GPUs, which NCCL refuses, with --cfg-options env_cfg.dist_cfg.backend=gloo'
        )
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs a GPU for each process, and torch sees {gpus}; '
            'tools/dist_train.sh runs several processes on a CPU'
        )
    device_ids = None
    if gpus:
        device_ids = [int(os.environ['LOCAL_RANK']) % gpus]
        torch.cuda.set_device(device_ids[0])
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': device_ids,
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
    }


class ScreenRunner(Runner):
    """MMEngine's Runner, whose log of environment, config and hooks goes to the file alone."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger, and keep one-line messages and warnings on the screen."""
        return quieten(super().build_logger(*args, **kwargs))


def _build_runner(cfg: Config) -> Runner:
    check_datasets(cfg)
    prepare_hooks(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else ScreenRunner.from_cfg(cfg)
