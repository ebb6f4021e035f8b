"""What tools/train.py and tools/test.py run: arguments -> config -> Runner."""

import argparse
import json
import os
from pathlib import Path

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.dist import init_dist, is_main_process
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from dva_mm.config import load_config

from .data import LOADERS, merge_options, prepare_data
from .hooks import prepare_hooks
from .publish import load_adapter
from .resume import last_checkpoint, set_resume


def train(argv: list[str] | None = None) -> None:
    """Train a config: ``tools/train.py CONFIG [options]``, with mmpretrain's options."""
    parser = _parser('Train a model')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a path, from the newest one in the work '
        'directory that can be read (a run that has none yet starts anew)',
    )
    parser.add_argument('--no-validate', action='store_true', help='train without evaluation')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the actual over the base batch size',
    )
    parser.add_argument(
        '--no-persistent-workers', action='store_true', help='start new workers each epoch'
    )
    args = parser.parse_args(argv)
    cfg = _load(args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if not cfg.get('auto_scale_lr'):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config'
            )
        cfg.auto_scale_lr.enable = True
    _start_processes(cfg)
    prepare_hooks(cfg)
    set_resume(cfg, args.resume)
    prepare_data(cfg)
    runner = _build_runner(cfg)
    runner.train()
    if is_main_process():
        log = Path(runner.log_dir) / f'{runner.timestamp}.log'
        print(f'checkpoint: {last_checkpoint(runner)}\nlog: {log}')


def test(argv: list[str] | None = None) -> None:
    """Test a checkpoint: ``tools/test.py CONFIG [CHECKPOINT] [options]``.

    Prints the metrics and saves them as JSON. Without a checkpoint it tests the frozen encoder.
    """
    parser = _parser('Test a model')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="a run's .pth or a published .pth / .safetensors; left out: the frozen encoder",
    )
    parser.add_argument('--out', help='JSON file of the metrics; default: WORK_DIR/metrics.json')
    args = parser.parse_args(argv)
    if args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'the checkpoint {args.checkpoint} does not exist')
    cfg = _load(args)
    cfg.load_from = None
    # Testing embeds images: no training data, no proxies, no optimiser.
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        cfg[name] = None
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.model.head = None
    if not args.checkpoint:  # what only training fills stays out
        cfg.model.neck = None
        if cfg.model.backbone.get('tuning'):
            cfg.model.backbone.tuning = None
    _start_processes(cfg)
    prepare_data(cfg)
    runner = _build_runner(cfg)
    if args.checkpoint:
        load_adapter(runner.model, args.checkpoint)
    else:
        runner.logger.info('no checkpoint given: testing the frozen encoder')
    metrics = runner.test()
    if is_main_process():
        out = Path(args.out or Path(cfg.work_dir) / 'metrics.json')
        out.parent.mkdir(parents=True, exist_ok=True)
        record = dict(config=args.config, checkpoint=args.checkpoint, metrics=metrics)
        out.write_text(json.dumps(record, indent=2) + '\n')
        for name, value in metrics.items():
            print(f'{name}: {value:.4f}')
        print(f'metrics: {out}')


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='a config file, or dva_mm::NAME.py')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (GPU)')
    parser.add_argument('--no-pin-memory', action='store_true', help='do not pin memory')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='change fields of the config, e.g. model.head.beta=0.5. data_root, protocol, '
        'reader and val_classes change all data sets at once',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


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
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config.split('::')[-1]).stem)
    if args.amp:
        if not torch.cuda.is_available():
            raise ValueError('--amp needs a GPU, and torch sees none; leave it out')
        if cfg.get('optim_wrapper'):
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        for name in ('val_cfg', 'test_cfg'):
            if cfg.get(name) is not None:  # usually an empty dict
                cfg[name].fp16 = True
    return cfg


def _start_processes(cfg: Config) -> None:
    """Join this process to the others of a launcher, through gloo where there is no GPU."""
    if cfg.launcher == 'none':
        return
    if torch.cuda.is_available():
        init_dist(cfg.launcher, **cfg.env_cfg.dist_cfg)
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs GPUs, and torch sees none; tools/dist_train.sh runs '
            'several processes on a CPU'
        )
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
    }


def _build_runner(cfg: Config) -> Runner:
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
