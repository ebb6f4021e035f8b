"""Time and memory of RetrievalMetric beside what PML and mmpretrain offer.

python tools/benchmark_metric.py --images 4000 --dims 384

All contenders run on the same embeddings in this process, in turn and --repeats times, for the
median time; then each once in a process of its own, for its peak memory above the embeddings.
PML's AccuracyCalculator and RetrievalMetric compute Precision@1, R-precision and MAP@R, and
RetrievalMetric Recall@K as well; mmpretrain's RetrievalRecall computes Recall@K. Linux only.
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
from dva_mm.evaluation.calculator import METRICS

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


CONTENDERS: dict[str, tuple[str, Callable[..., dict[str, float]]]] = {
    'ours': ('dva_mm RetrievalMetric', ours),
    'pml': ('PML AccuracyCalculator, k=None', pml),
    'pml_k': ('PML AccuracyCalculator, k set', partial(pml, set_k=True)),
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
    data = draw(args.images, args.dims, args.per_class)
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = _status('VmRSS')
    contender(*data, topk=args.topk)
    return _status('VmHWM') - before


def _status(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=4000)
    parser.add_argument('--dims', type=int, default=384)
    parser.add_argument('--per-class', type=int, default=20, help='images of each class')
    parser.add_argument('--topk', type=int, nargs='+', default=[1, 10, 100, 1000])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--contenders', nargs='+', choices=[*CONTENDERS], default=[*CONTENDERS])
    parser.add_argument('--memory-of', choices=[*CONTENDERS], help=argparse.SUPPRESS)
    argv = sys.argv[1:] if argv is None else [*argv]
    args = parser.parse_args(argv)
    if args.images < 2 * args.per_class or args.per_class < 2 or args.repeats < 1:
        parser.error('needs two classes of at least two images, and one repeat')
    if args.memory_of:
        print(peak_memory(args.memory_of, args))
        return
    data = draw(args.images, args.dims, args.per_class)
    times: dict[str, list[float]] = {name: [] for name in args.contenders}
    figures: dict[str, dict[str, float]] = {}
    for _ in range(args.repeats):
        for name in times:
            start = time.perf_counter()
            try:
                figures[name] = CONTENDERS[name][1](*data, topk=args.topk)
            except AttributeError as error:
                if name != 'mmpretrain':  # whose 1.2 needs np.in1d, gone from numpy 2.4
                    raise
                print(f'{CONTENDERS[name][0]}: fails, {error}')
            times[name].append(time.perf_counter() - start)

    print(f'{args.images} x {args.dims}, {args.per_class} images per class, topk {args.topk}')
    first = args.contenders[0]
    for name, found in figures.items():
        command = [sys.executable, __file__, *argv, '--memory-of', name]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = statistics.median(times[name])
        print(
            f'{CONTENDERS[name][0]}: {seconds:.2f} s '
            f'({seconds / statistics.median(times[first]):.1f} x the first), '
            f'{int(child.stdout) / 1e9:.2f} GB above the embeddings'
        )
        print('  ' + ', '.join(f'{key} {value:.4f}' for key, value in found.items()))


if __name__ == '__main__':
    main()
