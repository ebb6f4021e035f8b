"""Images/s of a training pipeline in one worker process, beside decoding the same files alone.

python tools/benchmark_pipeline.py configs/dva_vit_cub.py --size 500x375 2000x1500 --torchvision
python tools/benchmark_pipeline.py configs/dva_vit_cub.py --kept 256

The images are the config's own, or where its data set is absent or --size is given, drawn JPEGs
with boxes. Each repeat takes one image after another through decoding alone (OpenCV, full size,
from memory) and each pipeline in turn, and collates at its end. Times are CPU times of one thread,
so waiting for a disk does not count; the medians of the ratios to decoding carry over to other
machines best.

--kept adds each pipeline once more, over images that dataset.cache keeps at this size: the first
repeat, which decodes them, is not counted. --torchvision adds the three views of 224 pixels that
torchvision's own transforms (v2) make of an image that Pillow decodes, as its data sets do.
"""

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from benchmarks.drawn_images import draw_samples, parse_size
from mmengine.config import Config, DictAction
from mmengine.registry import FUNCTIONS, init_default_scope
from mmpretrain.registry import DATASETS, TRANSFORMS
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import pil_to_tensor
from tqdm import tqdm

from dva_mm.config import load_config
from dva_mm.datasets import ImageCache, image_size
from dva_mm.datasets.boxes import enlarge_box

SIZES = [(500, 375), (2000, 1500)]
Costs = dict[str, float]
"""CPU seconds of one repeat by part; the order is the pipeline's."""


class Pipeline:
    """The transforms of a config's training data, timed one by one."""

    def __init__(self, title: str, cfg: Config, cache: dict | None = None) -> None:
        self.title = title
        steps = cfg.train_dataloader.dataset.get('pipeline')
        if not steps:
            raise ValueError(f'{title}: train_dataloader.dataset has no pipeline to time')
        collate = cfg.train_dataloader.get('collate_fn', dict(type='pseudo_collate'))
        self.steps = [(step['type'], TRANSFORMS.build(step)) for step in steps]
        if cache:
            self.steps[0] = ('ImageCache', ImageCache(**cache, load=self.steps[0][1]))
        self.collate = FUNCTIONS.get(collate['type'])
        self.packed: list[dict] = []
        self.loading = 0  # so many of the steps end with an image in memory

    def run(self, sample: dict, costs: Costs) -> None:
        """Take one image through all steps."""
        results = dict(sample)
        for number, (name, step) in enumerate(self.steps, start=1):
            start = time.process_time()
            results = step(results)
            _add(costs, f'{number} {name}', start)
            if not self.loading and 'img' in results:
                self.loading = number
        self.packed.append(results)

    def finish(self, costs: Costs) -> None:
        """Make a batch of the images so far."""
        start = time.process_time()
        self.collate(self.packed)
        _add(costs, f'{len(self.steps) + 1} collate', start)
        self.packed = []


class Torchvision:
    """Three views as torchvision's v2 makes them; the interface is Pipeline's."""

    title, loading = 'torchvision v2, three views', 1

    def __init__(self) -> None:
        resize = partial(v2.Resize, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        self.resize, self.resize_object = resize(256), resize((224, 224))
        self.crop = v2.Compose([v2.RandomCrop(224), v2.RandomHorizontalFlip()])
        self.batch: list[torch.Tensor] = []

    def run(self, sample: dict, costs: Costs) -> None:
        start = time.process_time()
        with Image.open(sample['img_path']) as file:
            image = pil_to_tensor(file.convert('RGB'))
        _add(costs, '1 Pillow', start)
        start = time.process_time()
        height, width = image.shape[1:]
        box = sample['box'] if sample['box'] is not None else (0, 0, width, height)
        x1, y1, x2, y2 = (round(x) for x in enlarge_box(box, 1.3, height, width))
        whole, background = self.resize(image), image.clone()
        left, top, right, bottom = (int(x) for x in box)
        background[:, top:bottom, left:right] = 127
        views = [self.crop(whole), self.crop(self.resize(background))]
        views.insert(1, self.crop(self.resize_object(image[:, y1:y2, x1:x2])))
        self.batch.append(torch.stack(views))
        _add(costs, '2 views', start)

    def finish(self, costs: Costs) -> None:
        start = time.process_time()
        torch.stack(self.batch)
        _add(costs, '3 collate', start)
        self.batch = []


def _add(costs: Costs, key: str, start: float) -> None:
    costs[key] = costs.get(key, 0.0) + time.process_time() - start


def read_samples(cfg: Config, count: int) -> list[dict] | None:
    """Evenly spaced images of the training data; None when they are not on this machine."""
    try:
        dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': []})
    except FileNotFoundError as error:
        print(f'drawn images, because: {error}')
        return None
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    return [dataset.get_data_info(int(index)) for index in chosen]


def measure(
    samples: Sequence[dict], pipelines: Sequence[Pipeline | Torchvision], repeats: int
) -> tuple[list[float], list[list[Costs]]]:
    """CPU seconds of each repeat: of decoding alone, and of each pipeline's parts."""
    contents = [np.fromfile(sample['img_path'], np.uint8) for sample in samples]
    decoding: list[float] = []
    costs: list[list[Costs]] = [[] for _ in pipelines]
    for repeat in tqdm(range(-1, repeats), desc='timing', leave=False):
        alone: Costs = {}
        parts: list[Costs] = [{} for _ in pipelines]
        for sample, content in zip(samples, contents, strict=True):
            start = time.process_time()
            cv2.imdecode(content, cv2.IMREAD_COLOR)
            _add(alone, 'decoding', start)
            for pipeline, part in zip(pipelines, parts, strict=True):
                pipeline.run(sample, part)
        for pipeline, part, kept in zip(pipelines, parts, costs, strict=True):
            pipeline.finish(part)
            if repeat >= 0:  # the first one warms up
                kept.append(part)
        if repeat >= 0:
            decoding.append(alone['decoding'])
    return decoding, costs


def report(
    images: int,
    decoding: list[float],
    pipelines: Sequence[Pipeline | Torchvision],
    costs: list[list[Costs]],
) -> None:
    """Print the medians."""

    def line(title: str, seconds: Sequence[float]) -> None:
        median = statistics.median(seconds) / images
        ratio = statistics.median(s / d for s, d in zip(seconds, decoding, strict=True))
        print(f'{title[-44:]:44} {1 / median:9.0f} {1e3 * median:9.3f} {ratio:9.2f}')

    print(f'{"":44} {"images/s":>9} {"ms/image":>9} {"/decoding":>9}')
    line('decoding alone', decoding)
    for pipeline, repeats in zip(pipelines, costs, strict=True):
        line(pipeline.title, [sum(parts.values()) for parts in repeats])
        for key in repeats[0]:
            line(f'  {key}', [parts[key] for parts in repeats])
        rest = [list(parts.values())[pipeline.loading :] for parts in repeats]
        line('  all but loading', [sum(values) for values in rest])


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--compare-config', help='a second pipeline, on the same images')
    parser.add_argument('--images', type=int, default=16)
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--size', type=parse_size, nargs='+', metavar='WxH', help='draw images')
    parser.add_argument('--kept', type=int, metavar='EDGE', help='keep images at this edge')
    parser.add_argument('--torchvision', action='store_true', help='and three views by it')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value, for both')
    args = parser.parse_args(argv)
    if args.images < 1 or args.repeats < 1:
        parser.error('needs at least one image and one repeat')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    names = [args.config] + ([args.compare_config] if args.compare_config else [])
    configs = [load_config(name) for name in names]
    for cfg in configs:
        cfg.merge_from_dict(args.cfg_options or {})
    pipelines = [Pipeline(name, cfg) for name, cfg in zip(names, configs, strict=True)]
    pipelines += [Torchvision()] if args.torchvision else []
    samples = None if args.size else read_samples(configs[0], args.images)
    with TemporaryDirectory() as folder:
        if args.kept:
            cache = dict(folder=Path(folder) / 'kept', scale=args.kept)
            for name, cfg in zip(names, configs, strict=True):
                pipelines.append(Pipeline(f'{name}, kept at {args.kept}', cfg, cache))
        for size in [None] if samples else args.size or SIZES:
            if size:
                samples = draw_samples(Path(folder), size, args.images)
            what = f'drawn, {size[0]} x {size[1]}' if size else 'of the data set'
            pixels = sum(math.prod(image_size(sample['img_path'])) for sample in samples)
            bits = 8 * sum(Path(sample['img_path']).stat().st_size for sample in samples) / pixels
            print(
                f'{len(samples)} images {what}: {pixels / len(samples) / 1e6:.2f} megapixels, '
                f'{bits:.1f} bits a pixel; {args.repeats} repeats'
            )
            decoding, costs = measure(samples, pipelines, args.repeats)
            report(len(samples), decoding, pipelines, costs)


if __name__ == '__main__':
    main()
