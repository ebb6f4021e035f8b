"""Re-create the demo's encoder: both stages of its pre-training, one after the other."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.runner import Runner

from dva_mm import config_path, load_config
from dva_mm.engine import publish
from dva_mm.files import check_writable


def main(argv: Sequence[str] | None = None) -> None:
    """Train both stages and write the backbone of the second."""
    parser = argparse.ArgumentParser(prog='python -m dva_mm.demo.pretraining', description=__doc__)
    shipped = Path(config_path('dva_demo.py')).parent / 'demo' / 'vit_micro.safetensors'
    parser.add_argument('--out', help=f'weights to write; default: {shipped}')
    parser.add_argument('--work-dir', default='work_dirs/pretraining', help='log, checkpoints')
    parser.add_argument('--data-root', default='data/demo_tagged', help='where pictures are drawn')
    parser.add_argument(
        '--smoke', action='store_true', help='two epochs on 160 pictures, to see it run'
    )
    args = parser.parse_args(argv)
    if args.smoke and not args.out:
        parser.error('--smoke needs --out: it must not replace the shipped weights')
    out = check_writable(args.out or shipped, '--out')
    checkpoint = None
    for stage in ('small', 'large'):
        cfg = load_config(Path(__file__).parent / 'configs' / f'{stage}.py')
        cfg.work_dir = str(Path(args.work_dir) / stage)
        cfg.load_from, cfg.experiment_name = checkpoint, f'pretraining_{stage}'
        loaders = [cfg.train_dataloader, cfg.val_dataloader]
        for loader in loaders:
            loader.dataset.data_root = args.data_root
        if args.smoke:
            cfg.train_cfg.max_epochs = 2  # the schedule needs two
            for loader in loaders:
                loader.update(batch_size=16, num_workers=0)
                loader.dataset.count = 160
        Runner.from_cfg(cfg).train()
        checkpoint = str(Path(cfg.work_dir) / f'epoch_{cfg.train_cfg.max_epochs}.pth')
    print(publish(checkpoint, str(out), backbone=True))


if __name__ == '__main__':
    main()
