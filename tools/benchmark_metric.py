"""Time and memory of RetrievalMetric beside what PML and mmpretrain offer.

python tools/benchmark_metric.py --images 20000 20000 --per-class 20 400

Of each set, all contenders run on the same embeddings in this process, in turn and --repeats times,
for the processor time and its ratio to the first contender's within the round; then each once in a
process of its own, for its peak memory above the embeddings. PML's AccuracyCalculator,
RetrievalCalculator and RetrievalMetric compute Precision@1, R-precision and MAP@R, the latter two
Recall@K as well; mmpretrain's RetrievalRecall computes Recall@K. Linux only.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.evaluation import RetrievalRecall
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from dva_mm.evaluation import RetrievalMetric
from dva_mm.evaluation.calculator import METRICS, RetrievalCalculator
from dva_mm.evaluation.symmetric import TILE

SHARED = ('precision_at_1', 'r_precision', 'mean_average_precision_at_r')


def evaluate(metric: BaseMetric, samples: Sequence[dict]) -> dict[str, float]:
    for sample in samples:
        metric.process(None, [sample])
    figures = metric.evaluate(len(samples))
    return {key.removeprefix('retrieval/'): value for key, value in figures.items()}


def ours(embeddings: Tensor, labels: Tensor, topk: Sequence[int]) -> dict[str, float]:
    rows = enumerate(zip(embeddings, labels, strict=True))
    samples = [dict(embedding=row, gt_label=label, sample_idx=i) for i, (row, label) in rows]
    return evaluate(RetrievalMetric(topk, ('recall', *SHARED)), samples)


def calculator(embeddings: Tensor, labels: Tensor, topk: Sequence[int]) -> dict[str, float]:
    found = RetrievalCalculator(topk, ('recall', *SHARED))
    values = found.get_accuracy(embeddings, labels)
    return {key: 100 * values[name] for name, key in found.keys.items()}


def pml(
    embeddings: Tensor, labels: Tensor, topk: Sequence[int], set_k: bool = False
) -> dict[str, float]:
    k = max(*topk, int(labels.bincount().max())) if set_k else None
    calculator = AccuracyCalculator(include=SHARED, k=k, device=torch.device('cpu'))
    values = calculator.get_accuracy(embeddings, labels)
    return {METRICS[name][0]: 100 * value for name, value in values.items()}


def mmpretrain(embeddings: Tensor, labels: Tensor, topk: Sequence[int]) -> dict[str, float]:
    samples = []
    for i, (embedding, label) in enumerate(zip(embeddings, labels, strict=True)):
        scores, right = embeddings @ embedding, labels == label  # each (N,)
        scores[i], right[i] = -torch.inf, False
        samples.append(dict(pred_score=scores, gt_label=label, gt_score=right))
    return evaluate(RetrievalRecall(topk), samples)


def product(embeddings: Tensor, labels: Tensor, topk: Sequence[int]) -> dict[str, float]:
    """Multiply each pair of embeddings once, tile by tile, which any exact evaluation must."""
    blocks = embeddings.split(TILE)
    for i, rows in enumerate(blocks):
        for columns in blocks[i:]:
            rows @ columns.T
    return {}


CONTENDERS: dict[str, tuple[str, Callable[..., dict[str, float]]]] = {
    'pml_k': ('PML AccuracyCalculator, k set', partial(pml, set_k=True)),
    'ours': ('dva_mm RetrievalMetric', ours),
    'calculator': ('dva_mm RetrievalCalculator', calculator),
    'product': ('half the matrix product alone', product),
    'pml': ('PML AccuracyCalculator, k=None', pml),
    'mmpretrain': ('mmpretrain RetrievalRecall', mmpretrain),
}


def draw(images: int, dims: int, per_class: int) -> tuple[Tensor, Tensor]:
    """Unit-norm embeddings (images, dims) around a centre for each class, and labels (images,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) // per_class
    embeddings = torch.randn(images, dims, generator=generator)
    centres = torch.randn(int(labels[-1]) + 1, dims, generator=generator)
    for rows in torch.arange(images).split(4096):
        part = embeddings[rows[0] : rows[-1] + 1].add_(centres[labels[rows]], alpha=0.4)
        torch.nn.functional.normalize(part, dim=1, out=part)
    return embeddings, labels


def peak_memory(name: str, args: argparse.Namespace) -> int:
    """Bytes of the peak resident memory above the embeddings, for the process that calls it."""
    contender = CONTENDERS[name][1]
    contender(*draw(64, args.dims, 2), topk=(1,))  # loads what is loaded late
    data = draw(args.images[0], args.dims, args.per_class[0])
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = _status('VmRSS')
    contender(*data, topk=args.topk)
    return _status('VmHWM') - before


def _status(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, nargs='+', default=[4000], help='of each set')
    parser.add_argument('--dims', type=int, default=384)
    parser.add_argument(
        '--per-class', type=int, nargs='+', default=[20], help='images of each class, of each set'
    )
    parser.add_argument('--topk', type=int, nargs='+', default=[1, 2, 4, 8])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument(
        '--contenders', nargs='+', choices=[*CONTENDERS], default=['pml_k', 'ours', 'calculator']
    )
    parser.add_argument('--memory-of', choices=[*CONTENDERS], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if len(args.images) != len(args.per_class):
        parser.error('--images and --per-class need a number for each set')
    for images, per_class in zip(args.images, args.per_class, strict=True):
        if images < 2 * per_class or per_class < 2 or args.repeats < 1:
            parser.error('needs two classes of at least two images, and one repeat')
    if args.memory_of:
        print(peak_memory(args.memory_of, args))
        return
    for images, per_class in zip(args.images, args.per_class, strict=True):
        compare(images, per_class, args)


def compare(images: int, per_class: int, args: argparse.Namespace) -> None:
    """Run the contenders on one set, and print their lines."""
    data = draw(images, args.dims, per_class)
    times: dict[str, list[float]] = {name: [] for name in args.contenders}
    figures: dict[str, dict[str, float]] = {}
    for _ in range(args.repeats):
        for name in times:
            start = time.process_time()
            try:
                figures[name] = CONTENDERS[name][1](*data, topk=args.topk)
            except AttributeError as error:
                if name != 'mmpretrain':  # whose 1.2 needs np.in1d, gone from numpy 2.4
                    raise
                print(f'{CONTENDERS[name][0]}: fails, {error}')
            times[name].append(time.process_time() - start)

    print(f'{images} x {args.dims}, {per_class} images per class, topk {args.topk}')
    shape = [f'--images={images}', f'--dims={args.dims}', f'--per-class={per_class}']
    topk = ['--topk', *map(str, args.topk)]
    for name, found in figures.items():
        command = [sys.executable, __file__, *shape, *topk, '--memory-of', name]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        pairs = zip(times[name], times[args.contenders[0]], strict=True)
        ratios = sorted(seconds / first for seconds, first in pairs)
        print(
            f'{CONTENDERS[name][0]}: {statistics.median(times[name]):.2f} s of processor time, '
            f'{statistics.median(ratios):.2f} x the first ({ratios[0]:.2f}-{ratios[-1]:.2f}), '
            f'{int(child.stdout) / 1e9:.2f} GB above the embeddings',
            flush=True,
        )
        print('  ' + ', '.join(f'{key} {value:.4f}' for key, value in found.items()))


if __name__ == '__main__':
    main()
