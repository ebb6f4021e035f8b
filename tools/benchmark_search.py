"""Speed and memory of the index beside what it stands on, as ratios within one run.

python tools/benchmark_search.py --vectors 1000000 --dims 384

search: an Index against raw faiss on the same vectors. build: what an index costs beyond the
encoder. memory: of an opened flat index against its vectors. factory: recall and time of
approximate indexes. sync: an unchanged folder. extract: embedding images that are in memory,
against the bare encoder on ready batches; --precision and --compile are its. gpu: faiss on a GPU;
skipped where faiss sees none. --oml: embedding JPEG files beside open-metric-learning. Linux only.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from benchmarks import search_gpu
from benchmarks.drawn_vectors import Vectors, make_index, percentiles
from PIL import Image

from dva_mm.engine.speed import PRECISIONS
from dva_mm.retrieval import Index, Retriever
from dva_mm.retrieval.faiss_store import faiss
from dva_mm.retrieval.staging import SHARD

TASKS = ('search', 'build', 'memory', 'factory', 'sync', 'extract', 'gpu')


def resident() -> int:
    """Bytes of this process that are in memory."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmRSS'))


def search(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    index = Index.open(folder)
    queries = index.storage.vectors(range(args.queries)) + np.float32(0.01)
    raw = faiss.downcast_index(index.storage.store.exact.index)
    found = {}
    # Turn by turn, so that what else the machine does hits both.
    ours, theirs = [], []
    for start in range(0, len(queries), 10):
        some = queries[start : start + 10]
        theirs.append(percentiles(lambda q: raw.search(q[None], 10), some))
        ours.append(percentiles(lambda q: index.search(q, 10), some))
    for name, pairs in (('faiss', theirs), ('index', ours)):
        found[f'{name}_p50_ms'] = statistics.median(p50 for p50, _ in pairs)
        found[f'{name}_p95_ms'] = statistics.median(p95 for _, p95 in pairs)
    found['p50_ratio'] = found['index_p50_ms'] / found['faiss_p50_ms']
    return found


def memory(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    before = resident()
    index = Index.open(folder)
    used = resident() - before
    vectors = 4 * args.vectors * args.dims
    index.close()
    return dict(gigabytes=used / 1e9, vectors_gigabytes=vectors / 1e9, ratio=used / vectors)


def factories(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    index = Index.open(folder)
    for factory in args.factories:
        index.storage.store.factory = factory
        begun = time.perf_counter()
        index.storage.store.build()
        seconds = time.perf_counter() - begun
        files = folder / 'unused.faiss', folder / 'size.faiss'
        index.storage.store.save(*files)
        size = files[1].stat().st_size / args.vectors
        for file in files:
            file.unlink()
        checked = index.check(args.queries, k=10)
        yield factory, dict(build_s=seconds, bytes_a_vector=size, **checked)


def make_model(args: argparse.Namespace) -> Retriever:
    speed = dict(precision=args.precision, compile=args.compile)
    return Retriever.load(args.model, pretrained=args.pretrained, device=args.device, **speed)


def sync(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    photos = folder / 'photos'
    for number in range(args.files):
        file = photos / f'{number // 500}' / f'{number}.jpg'
        file.parent.mkdir(parents=True, exist_ok=True)
        if not number:
            Image.new('RGB', (32, 32)).save(file)
        else:
            shutil.copy(photos / '0' / '0.jpg', file)
    index = Index.build(make_model(args), photos, folder / 'sync.index', batch_size=256)
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        change = index.sync(photos)
        times.append(time.perf_counter() - begun)
    assert change.unchanged == args.files
    return dict(files=args.files, seconds=statistics.median(times))


def extract(args: argparse.Namespace) -> dict[str, float]:
    model = make_model(args)
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(a) for a in rng.integers(0, 255, (args.images, 256, 256, 3), np.uint8)
    ]
    size = model.model.backbone.encoder_info()['img_size']
    height, width = (size, size) if isinstance(size, int) else size
    pixels = torch.randint(0, 256, (args.batch_size, 3, height, width), dtype=torch.uint8)
    batch = model.model.data_preprocessor(dict(inputs=pixels.to(model.device), data_samples=None))[
        'inputs'
    ]
    options = dict(batch_size=args.batch_size, workers=args.workers)
    model.encode(images[: args.batch_size], progress=False, **options)
    batches, dtype = -(-args.images // args.batch_size), PRECISIONS[args.precision]
    mixed = torch.autocast(model.device.type, dtype, enabled=dtype is not None)
    rates: dict[str, list[float]] = dict(encoder=[], encode=[])
    for _ in range(args.repeats):
        begun = time.perf_counter()
        for _ in range(batches):
            with torch.inference_mode(), mixed:
                model.model(batch, mode='tensor').cpu()
        rates['encoder'].append(batches * args.batch_size / (time.perf_counter() - begun))
        begun = time.perf_counter()
        model.encode(images, progress=False, **options)
        rates['encode'].append(args.images / (time.perf_counter() - begun))
    found = {f'{name}_images_s': statistics.median(rate) for name, rate in rates.items()}
    pairs = zip(rates['encode'], rates['encoder'], strict=True)
    return dict(found, ratio=statistics.median(ours / bare for ours, bare in pairs))


def on_gpu(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    if not search_gpu.gpus():
        print('gpu: skipped, because faiss sees no GPU (faiss-cpu never does)', flush=True)
        return
    if not hasattr(faiss, 'GpuIndexCagra'):
        print('gpu CAGRA: skipped, because this build of faiss has none', flush=True)
    drawn = Vectors(args.dims)
    rows = np.empty((args.vectors, args.dims), np.float32)
    for start in range(0, args.vectors, SHARD):
        rows[start : start + SHARD] = drawn.draw(start, min(SHARD, args.vectors - start))
    queries = drawn.draw(args.vectors, args.queries)
    resources = faiss.StandardGpuResources()
    for name, found in search_gpu.compare(rows, queries, args.query_batch, resources):
        yield f'gpu {name}', found


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--vectors', type=int, default=100_000)
    parser.add_argument('--dims', type=int, default=384)
    parser.add_argument('--queries', type=int, default=100)
    parser.add_argument('--query-batch', type=int, default=1024, help='queries at once, of gpu')
    parser.add_argument('--factories', nargs='*', default=['IVF1024,SQ8'], metavar='FACTORY')
    parser.add_argument('--files', type=int, default=10_000, help='images of the folder of sync')
    parser.add_argument('--model', default='dva_mm::dva_demo.py', help='of sync and extract')
    parser.add_argument('--pretrained', help="file of the frozen encoder's weights")
    parser.add_argument('--device')
    parser.add_argument('--precision', choices=[*PRECISIONS], default='fp32', help='of extract')
    parser.add_argument('--compile', action='store_true', help='the encoder of extract')
    parser.add_argument('--images', type=int, default=512, help='of extract')
    for name, value in (('batch-size', 64), ('workers', 2), ('repeats', 3), ('threads', 1)):
        parser.add_argument(f'--{name}', type=int, default=value)
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=[*TASKS], metavar='TASK')
    parser.add_argument('--oml', action='store_true', help='compare with OML, and no more')
    parser.add_argument('--json', type=Path, help='add the figures here, one JSON object a line')
    parser.add_argument('--folder', help='keep the index here')
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else list(argv)
    args = parse_args(argv)
    if args.memory_of:
        print(json.dumps(memory(Path(args.memory_of), args)))
        return
    torch.set_num_threads(args.threads)
    faiss.omp_set_num_threads(args.threads)
    with TemporaryDirectory() as temporary:
        for name, figures in measure(Path(args.folder or temporary), args, argv):
            report(name, figures, args.json)


def measure(
    folder: Path, args: argparse.Namespace, argv: list[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Name and figures of each task."""
    if args.oml:
        from benchmark_oml import compare_oml  # beside this file

        run = args.images, args.batch_size, args.workers, args.repeats
        yield 'oml', compare_oml(make_model(args), folder, *run)
        return
    if {'search', 'build', 'memory', 'factory'} & set(args.tasks):
        seconds = make_index(folder / 'flat.index', args.vectors, args.dims)
        yield 'build', dict(seconds=seconds, us_an_image=1e6 * seconds / args.vectors)
    if 'search' in args.tasks:
        yield 'search', search(folder / 'flat.index', args)
    if 'memory' in args.tasks:  # in a process of its own
        command = [sys.executable, __file__, *argv, '--memory-of', str(folder / 'flat.index')]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        yield 'memory', json.loads(child.stdout.splitlines()[-1])
    if 'factory' in args.tasks:
        yield from factories(folder / 'flat.index', args)
    if 'sync' in args.tasks:
        yield 'sync', sync(folder, args)
    if 'extract' in args.tasks:
        yield 'extract', extract(args)
    if 'gpu' in args.tasks:
        yield from on_gpu(args)


def report(name: str, figures: dict[str, float], file: Path | None) -> None:
    print(
        f'{name}: ' + ', '.join(f'{key} {value:.4g}' for key, value in figures.items()), flush=True
    )
    if file:
        with file.open('a') as rows:
            rows.write(json.dumps(dict(task=name, **figures)) + '\n')


if __name__ == '__main__':
    main()
