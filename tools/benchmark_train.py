"""Time and memory of training steps beside the encoder's own and what else a user might train.

python tools/benchmark_train.py --models deit_tiny_patch16_224:128 --batch 16
python tools/benchmark_train.py --precision fp32 bf16 --contenders bare floor ica full
python tools/benchmark_train.py --device cuda --precision bf16 --batch 32 --optimizer --profile \
--loader 4 8 16 --models vit_base_patch16_224:224 --modes eager compiled

A step is a forward, a sum of squares of the embeddings (of DVA its own loss) and a backward; with
--optimizer also Adam's step. Weights are random. All contenders run in turn in this process,
--rounds times after one warm-up; each line has the median time, its quartiles, and the median over
rounds of its ratio to the bare forward, to the floor and to ICA of the same mode, precision and
round, and to itself in the first mode and precision. On a CPU bf16 is without fused attention, as
in training. With one thread on a CPU the time is the processor time of this process, which other
programs lengthen little; else it is the clock's.

Kept is what a forward keeps for the backward, without parameters. Memory is weights, Adam's state
with --optimizer, and what a step takes beside them: on a GPU its peak, on a CPU what is kept and
the gradients. First is the first step's time, which compiles.

--profile: the share of matrix products in the time of a GPU's kernels, or of operators on a CPU,
and the largest others. --loader: DVA trains on drawn JPEGs through so many workers; idle is the
share of time without a kernel, on a CPU that of waiting for the loader.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import torch
import torch._dynamo
from benchmarks import loader_idle
from benchmarks.contenders import CONTENDERS
from benchmarks.device_time import profile_step
from benchmarks.drawn_images import parse_size
from benchmarks.training_step import Bench, Entry
from mmengine.logging import MMLogger

import dva_mm
from dva_mm.engine.speed import PRECISIONS
from dva_mm.screen import quieten

COLUMNS = ('bare', 'floor', 'ica', 'itself')


def compare(arch: str, size: int, args: argparse.Namespace) -> list[dict]:
    """Measure all contenders on one encoder; one row each."""
    bench = Bench(args, arch, size)
    entries = [
        Entry(name, mode, precision)
        for mode, precision in product(args.modes, args.precision)
        for name in args.contenders
    ]
    for entry in entries:
        with bench.guard(entry):
            bench.build(entry)
            bench.measure_memory(entry)
    for _ in range(args.rounds):
        for entry in entries:
            if not entry.error:
                with bench.guard(entry):
                    entry.times.append(bench.step(entry))
    for entry in entries if args.profile else ():
        if not entry.error:
            with bench.guard(entry):
                entry.profile = profile_step(bench.device, lambda entry=entry: bench.step(entry))
    return [row(entry, entries, args.batch) for entry in entries]


def row(entry: Entry, entries: Sequence[Entry], batch: int) -> dict:
    found = dict(mode=entry.mode, precision=entry.precision, contender=entry.name)
    if entry.error:
        return dict(found, error=entry.error)
    found |= dict(seconds=median(entry.times), images_s=batch / median(entry.times))
    low, _, high = quantiles(entry.times, n=4) if len(entry.times) > 1 else 3 * entry.times
    found |= dict(quartiles=[low, high], first=entry.first, kept=entry.kept, peak=entry.peak)
    found |= dict(memory=entry.memory, **entry.profile)
    others = {}
    for other in entries:
        if other.error:
            continue
        if (other.mode, other.precision) == (entry.mode, entry.precision):
            others[other.name] = other
        if other.name == entry.name:
            others.setdefault('itself', other)
    for name in ('bare', 'floor', 'ica', 'ica_3', 'itself'):
        if name in others:
            pairs = zip(entry.times, others[name].times, strict=True)
            found[f'to_{name}'] = median(one / two for one, two in pairs)
    for name in ('full', 'full_3'):
        if name in others:
            found[f'memory_to_{name}'] = entry.memory / others[name].memory
    return found


def line(found: dict) -> str:
    start = f'{CONTENDERS[found["contender"]].title:30} {found["mode"]:8} {found["precision"]} '
    if 'error' in found:
        return start + found['error']
    ratios = (found.get(f'to_{name}', float('nan')) for name in COLUMNS)
    low, high = (1000 * value for value in found['quartiles'])
    return (
        f'{start}{found["images_s"]:9.1f} {1000 * found["seconds"]:8.1f} ms ({low:.1f}-{high:.1f})'
        f'{"".join(f"{ratio:7.2f}" for ratio in ratios)} {found["kept"] / 1e6:9.1f} MB '
        f'{found["memory"] / 1e6:9.1f} MB {found["first"]:7.1f} s'
    )


def details(found: dict) -> Iterator[str]:
    """What stands below a contender's line."""
    if 'products' in found:
        others = ', '.join(f'{name} {share:.1%}' for name, share in found['others'])
        yield f'matrix products: {found["products"]:.1%} of the time; then {others}'
    if found['contender'] == 'dva' and 'to_ica_3' in found:
        yield f'outside of the encoder: {1 - 1 / found["to_ica_3"]:.1%} of the step'
    memory = [
        f'{found[f"memory_to_{name}"]:.2f} of {CONTENDERS[name].title}'
        for name in ('full', 'full_3')
        if f'memory_to_{name}' in found
    ]
    if memory and found['contender'] in ('ica', 'dva', 'tokens', 'ica_3', 'lora'):
        yield f'memory: {", ".join(memory)}'


def train_from_files(arch: str, size: int, table: Path, args: argparse.Namespace) -> Iterator[dict]:
    """A row for each number of workers: DVA trains on the images of a table."""
    bench = Bench(args, arch, size)
    for mode, precision in product(args.modes, args.precision):
        entry = Entry('dva', mode, precision)
        with bench.guard(entry):
            bench.build(entry)
            entry.model.autocast_dtype = PRECISIONS[precision]
        fixed = dict(mode=mode, precision=precision, contender='dva')
        for workers in args.loader:
            run = bench.device, table, args.batch, workers, args.rounds
            found = {}
            if not entry.error:
                with bench.guard(entry):
                    found = loader_idle.measure(entry.model, *run)
            yield dict(fixed, loader=workers) | (found or dict(error=entry.error))


def loader_line(found: dict) -> str:
    start = f'{found["mode"]:8} {found["precision"]} {found["loader"]:3} workers: '
    if 'error' in found:
        return start + found['error']
    return (
        f'{start}{found["images_s"]:.1f} images/s, idle {found["idle"]:.1%}, '
        f'waiting for the loader {found["waiting"]:.1%}'
    )


def measure(arch: str, size: int, args: argparse.Namespace) -> Iterator[dict]:
    """Print the lines of one encoder and give their rows."""
    columns = 'images/s, median (quartiles), / bare, / floor, / ICA, / itself, kept, memory, first'
    print(f'{"":44} {columns}')
    for found in compare(arch, size, args):
        print(line(found), flush=True)
        for text in details(found):
            print(f'  {text}', flush=True)
        yield found
    if not args.loader:
        return
    with TemporaryDirectory() as folder:
        width, height = args.loader_size
        print(f'{CONTENDERS["dva"].title}, from JPEGs of {width} x {height}:')
        table = loader_idle.draw(Path(folder), args.loader_size, args.loader_images)
        for found in train_from_files(arch, size, table, args):
            print(f'  {loader_line(found)}', flush=True)
            yield found


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = dict(default=['deit_tiny_patch16_224:128'], help='timm name:pixels')
    parser.add_argument('--models', nargs='+', **models)
    parser.add_argument('--batch', type=int, default=16, help='images of a view')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--precision', nargs='+', choices=[*PRECISIONS], default=['fp32'])
    parser.add_argument('--modes', nargs='+', choices=['eager', 'compiled'], default=['eager'])
    parser.add_argument('--contenders', nargs='+', choices=[*CONTENDERS], default=[*CONTENDERS])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1, help="torch's threads on a CPU")
    parser.add_argument('--optimizer', action='store_true', help="Adam's step, and its state")
    parser.add_argument('--profile', action='store_true', help='share of matrix products')
    parser.add_argument('--loader', type=int, nargs='+', default=[], metavar='WORKERS')
    parser.add_argument('--loader-size', type=parse_size, default=(2000, 1500), metavar='WxH')
    parser.add_argument('--loader-images', type=int, default=64, help='JPEG files to draw')
    parser.add_argument('--json', type=Path, help='file for the rows, one JSON object a line')
    args = parser.parse_args(argv)
    if min(args.batch, args.rounds, args.threads, args.loader_images, *args.loader, 1) < 1:
        parser.error('--batch, --rounds, --threads and what --loader takes must be positive')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no GPU')
    sizes = {name: int(name.partition(':')[2] or 224) for name in args.models}
    if args.loader and (other := [name for name in sizes if sizes[name] != loader_idle.SIDE]):
        parser.error(f'--loader gives images of {loader_idle.SIDE} px, and --models has {other[0]}')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    dva_mm.register()
    quieten(MMLogger.get_current_instance())  # of mmpretrain's initialisation
    torch.set_num_threads(args.threads)
    # All contenders share the code of a block, and beyond the limit torch computes without a word
    # what is not compiled.
    torch._dynamo.config.recompile_limit = 256
    rows = []
    for model in args.models:
        arch, _, size = model.partition(':')
        fixed = dict(model=model, batch=args.batch, device=args.device, optimizer=args.optimizer)
        print(f'{model}, batch {args.batch}, {args.device}')
        for found in measure(arch, int(size or 224), args):
            rows.append(fixed | found)
            if args.json:
                args.json.write_text(''.join(json.dumps(row) + '\n' for row in rows))


if __name__ == '__main__':
    main()
