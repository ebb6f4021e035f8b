"""Draw what retrieval finds: python tools/draw_ranking.py CONFIG CHECKPOINT OUT.png"""

import argparse

import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmpretrain.registry import MODELS

from dva_mm import load_config
from dva_mm.engine import load_adapter
from dva_mm.files import check_writable
from dva_mm.visualization import draw_ranking, rank


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a config file, or dva_mm::NAME.py')
    parser.add_argument('checkpoint', help="a run's or a published checkpoint")
    parser.add_argument('out', help='picture to write')
    parser.add_argument('--queries', type=int, default=4, help='number of queries, drawn by --seed')
    parser.add_argument('--topk', type=int, default=6, help='hits per query')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    out = check_writable(args.out, 'OUT')

    cfg = load_config(args.config)
    cfg.model.head = None
    cfg.test_dataloader.setdefault('collate_fn', dict(type='default_collate'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        loader = Runner.build_dataloader(cfg.test_dataloader)
        model = MODELS.build(cfg.model).eval()
        frozen = _embed(model, loader)
        load_adapter(model, args.checkpoint)
        trained = _embed(model, loader)

    infos = [loader.dataset.get_data_info(i) for i in range(len(loader.dataset))]
    generator = torch.Generator().manual_seed(args.seed)
    queries = torch.randperm(len(infos), generator=generator)[: args.queries].tolist()
    rankings = {
        'frozen': rank(frozen, queries, args.topk),
        'DVA': rank(trained, queries, args.topk),
    }
    paths = [info['img_path'] for info in infos]
    labels = [info['gt_label'] for info in infos]
    draw_ranking(paths, labels, queries, rankings).save(out)
    print(out)


def _embed(model: torch.nn.Module, loader: torch.utils.data.DataLoader) -> torch.Tensor:
    batches = track_iter_progress((loader, len(loader)))
    samples = [sample for batch in batches for sample in model.test_step(batch)]
    return torch.stack([sample.embedding for sample in samples])


if __name__ == '__main__':
    main()
