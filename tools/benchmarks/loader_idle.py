"""How long a training step of DVA waits for images: the real loader on drawn JPEGs.

Files are read again and again, so they come from memory: a slow disk waits longer.
"""

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from benchmarks.device_time import idle_share
from benchmarks.drawn_images import Size, draw_samples
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from dva_mm.config import load_config
from dva_mm.models import DVARetriever

CONFIG = 'dva_mm::dva_vit_cub.py'
"""Its pipeline makes three views of 224 px."""
SIDE = 224
AHEAD = 2  # batches that torch's loader prepares for each worker


def draw(folder: Path, size: Size, count: int) -> Path:
    """Write JPEGs with boxes, and the table by which FineGrainedDataset reads them."""
    table = folder / 'images.csv'
    with table.open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['path', 'label', 'split', 'x1', 'y1', 'x2', 'y2'])
        for sample in draw_samples(folder, size, count):
            box = [float(value) for value in sample['box']]
            rows.writerow([Path(sample['img_path']).name, sample['gt_label'], 'train', *box])
    return table


def make_loader(table: Path, batch: int, workers: int, batches: int, pin: bool) -> DataLoader:
    """The training loader of :data:`CONFIG` on these images, repeated for so many batches."""
    loader = load_config(CONFIG).train_dataloader.to_dict()
    images = len(table.read_text().splitlines()) - 1
    data = dict(loader['dataset'], data_root=str(table), reader='csv', protocol='closed')
    times = -(-batches * batch // images)
    loader.update(
        batch_size=batch,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=True,
        dataset=dict(type='RepeatDataset', dataset=data, times=times),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Runner.build_dataloader(loader, seed=0)


def measure(
    model: DVARetriever, device: torch.device, table: Path, batch: int, workers: int, steps: int
) -> dict:
    """Images/s of training, and the shares of the time without a kernel and of the wait.

    Measured are at least two batches of each worker, after those that the loader had prepared
    while the model warmed up.

    Args:
        model: On the device.
        device: Where it trains.
        table: Of :func:`draw`.
        batch: Images of a batch.
        workers: Processes of the loader.
        steps: Least number of steps.
    """
    steps, prepared = max(steps, 2 * workers), AHEAD * workers + 1
    needed = prepared + steps + prepared  # to the end the workers are at work on later batches
    batches = iter(make_loader(table, batch, workers, needed, device.type == 'cuda'))
    trained = [p for p in model.parameters() if p.requires_grad]
    optim = OptimWrapper(torch.optim.Adam(trained, lr=1e-6))
    first = next(batches)
    for _ in range(3):
        model.train_step(first, optim)
    train(model, optim, batches, prepared)
    waited: list[float] = []

    def run() -> None:
        waited.append(train(model, optim, batches, steps))

    if device.type == 'cuda':
        idle, seconds = idle_share(run)
    else:
        begun = time.perf_counter()
        run()
        seconds = time.perf_counter() - begun
        idle = waited[0] / seconds
    images_s = steps * batch / seconds
    return dict(
        loader=workers, steps=steps, images_s=images_s, idle=idle, waiting=waited[0] / seconds
    )


def train(model: DVARetriever, optim: OptimWrapper, batches: Iterator[dict], steps: int) -> float:
    """Train some steps; the seconds that this process waited for the loader."""
    waited = 0.0
    for _ in range(steps):
        begun = time.perf_counter()
        data = next(batches)
        waited += time.perf_counter() - begun
        model.train_step(data, optim)
    return waited
