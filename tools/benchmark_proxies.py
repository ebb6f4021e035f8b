"""Time and memory of DVAHead by the number of classes; on paper, what many GPUs need.

python tools/benchmark_proxies.py --classes 10000 100000 --batch 32 --rates 1 0.1
python tools/benchmark_proxies.py --on-paper --classes 1000000 --gpus 1 8 64

A step is the loss of three views, its backward and Adam's step over the proxies; the encoder is
left out. The rates take turns in this process, --repeats times after one warm-up: processor time of
one thread, medians, and the median over turns of the ratio to the first rate. Then each runs in a
process of its own, for its peak memory above what that process held before. Linux only.

--on-paper measures nothing; docs/performance.md explains its formulas.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from dva_mm.models import DVAHead

PARTS = ('forward', 'backward', 'Adam')
FLOAT = 4  # bytes


class Step:
    """A step of the head on a random batch; calling it gives the seconds of each of PARTS."""

    def __init__(self, classes: int, dims: int, batch: int) -> None:
        self.head = DVAHead(classes, dims)
        self.optimizer = torch.optim.Adam(self.head.parameters(), lr=1e-2)
        self.views = [torch.randn(batch, dims, requires_grad=True) for _ in range(3)]
        self.labels = torch.randint(classes, (batch,))

    def __call__(self, rate: float) -> list[float]:
        self.head.sample_rate = rate
        z, z_d, z_b = self.views
        marks = [time.process_time()]
        loss = sum(self.head.loss(z, self.labels, z_d, z_b, self.labels).values())
        marks.append(time.process_time())
        loss.backward()
        marks.append(time.process_time())
        self.optimizer.step()
        marks.append(time.process_time())
        self.optimizer.zero_grad()
        return torch.tensor(marks, dtype=torch.float64).diff().tolist()


def peak_memory(classes: int, rate: float, args: argparse.Namespace) -> int:
    """Bytes of the peak resident memory of two steps, for the process that calls it."""
    Step(10, 8, 2)(rate)  # loads what is loaded late
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = _status('VmRSS')
    step = Step(classes, args.dims, args.batch)
    step(rate)
    step(rate)
    return _status('VmHWM') - before


def _status(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def measure(classes: int, argv: list[str], args: argparse.Namespace) -> None:
    step = Step(classes, args.dims, args.batch)
    turns = [[step(rate) for rate in args.rates] for _ in range(1 + args.repeats)][1:]
    del step
    times = torch.tensor(turns, dtype=torch.float64)  # (repeats, rates, parts)
    ratios = times.sum(2) / times.sum(2)[:, :1]
    print(f'{classes:,} classes, {args.dims} values, batch {args.batch}, three views')
    for i, rate in enumerate(args.rates):
        command = [sys.executable, __file__, *argv, '--memory-of', str(classes), str(rate)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        parts = zip(PARTS, times[:, i].median(0).values.tolist(), strict=True)
        print(
            f'  sample_rate {rate:g}: {median(times[:, i].sum(1).tolist()):.3f} s, '
            f'{median(ratios[:, i].tolist()):.2f} of the first '
            f'({", ".join(f"{name} {value:.3f}" for name, value in parts)}), '
            f'peak {int(child.stdout) / 1e9:.2f} GB',
            flush=True,
        )


def on_paper(
    classes: int, gpus: int, rate: float, dims: int, batch: int, images_per_second: float
) -> dict[str, float]:
    """What each of some GPUs holds and sends, and what the loaders of all must give."""
    values = (classes + 1) * dims
    rows = 3 * batch * gpus  # of the gathered views
    return {
        'proxies with Adam, GB': 4 * FLOAT * values / 1e9,
        'logits of a step, GB': FLOAT * rows * (round(rate * classes) + 1) / 1e9,
        'gathered a step, MB': FLOAT * rows * (dims + 1) / 1e6 * (gpus > 1),
        'gradient of the proxies reduced a step, MB': FLOAT * values / 1e6 * (gpus > 1),
        'steps/s': images_per_second / batch,
        'images/s of all loaders': round(images_per_second * gpus),
    }


def classes_that_fit(gigabytes: float, dims: int, copies: int = 4) -> int:
    """Classes whose proxies fill so much memory with so many copies; Adam has four."""
    return int(gigabytes * 1e9 / (copies * FLOAT * dims))


def tell(args: argparse.Namespace) -> None:
    names = ('dims', 'batch', 'images_per_second')
    given = {name: getattr(args, name) for name in names}
    print(', '.join(f'{name} {value:g}' for name, value in given.items()))
    for classes in args.classes:
        for rate in args.rates:
            for gpus in args.gpus:
                figures = on_paper(classes, gpus, rate, **given)
                print(f'{classes:,} classes, sample_rate {rate:g}, GPUs: {gpus}')
                print(*(f'  {name}: {value:,.5g}' for name, value in figures.items()), sep='\n')
    for size in (24, 80):
        print(f'proxies with Adam fill {size} GB at {classes_that_fit(size, args.dims):,} classes')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', type=int, nargs='+', default=[10_000, 100_000])
    parser.add_argument('--dims', type=int, default=384)
    parser.add_argument('--batch', type=int, default=32, help='of one GPU')
    parser.add_argument('--rates', type=float, nargs='+', default=[1.0, 0.1], help='sample_rate')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--on-paper', action='store_true', help='compute, measure nothing')
    parser.add_argument('--gpus', type=int, nargs='+', default=[1, 8, 64])
    parser.add_argument('--images-per-second', type=float, default=400.0, help='of one GPU')
    parser.add_argument('--memory-of', type=float, nargs=2, help=argparse.SUPPRESS)
    argv = sys.argv[1:] if argv is None else [*argv]
    args = parser.parse_args(argv)
    if min(*args.classes, *args.gpus, args.dims, args.batch, args.repeats) < 1:
        parser.error('--classes, --gpus, --dims, --batch and --repeats must be positive')
    if args.on_paper:
        return tell(args)
    torch.set_num_threads(1)
    if args.memory_of:
        return print(peak_memory(int(args.memory_of[0]), args.memory_of[1], args))
    for classes in args.classes:
        measure(classes, argv, args)


if __name__ == '__main__':
    main()
