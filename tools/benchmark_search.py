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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from dva_mm.retrieval import Index, Retriever
from dva_mm.retrieval.faiss_store import faiss
from dva_mm.retrieval.folder import FolderStorage
from dva_mm.retrieval.staging import SHARD, Entry, Staging
from dva_mm.retrieval.state import new_state

TASKS = ('search', 'build', 'memory', 'factory', 'sync', 'extract', 'gpu')


class Vectors:
    """Stands in for a model: its 'images' are numbers of rows that are drawn when asked for."""

    fingerprint, name, origin = 'benchmark', 'benchmark', {}

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.centres = np.random.default_rng(0).normal(size=(1000, dims)).astype(np.float32)

    def draw(self, block: int, count: int) -> np.ndarray:
        """Unit-norm rows (count, dims) around a thousand centres."""
        rng = np.random.default_rng((1, block))
        rows = rng.standard_normal((count, self.dims), dtype=np.float32)
        rows += 1.5 * self.centres[rng.integers(0, 1000, count)]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_index(folder: Path, count: int, dims: int, factory: str | None = None) -> float:
    """An index of drawn vectors, through the files that extraction writes; seconds beyond that."""
    model = Vectors(dims)
    FolderStorage.create(folder, new_state(model, factory, False, None))
    storage = FolderStorage(folder)
    staging = Staging(storage.staging, model.fingerprint)
    kept, seconds = [], 0.0
    for start in range(0, count, SHARD):
        some = range(start, min(start + SHARD, count))
        entries = [Entry(None, f'/photos/{i // 1000}/{i}.jpg', 1, 1, 'a', {}) for i in some]
        rows = model.draw(start, len(some))
        begun = time.perf_counter()
        kept += zip(entries, staging.write(entries, rows), strict=True)
        seconds += time.perf_counter() - begun
    begun = time.perf_counter()
    with storage.writing():
        storage.commit(staging.blocks(kept), [])
        staging.clear()
    storage.close()
    return seconds + time.perf_counter() - begun


def percentiles(ask: Callable[[np.ndarray], object], queries: np.ndarray) -> tuple[float, float]:
    """p50 and p95 of one query, milliseconds."""
    ask(queries[0])
    times = []
    for query in queries:
        begun = time.perf_counter()
        ask(query)
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times), float(np.percentile(times, 95))


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
    return Retriever.load(args.model, pretrained=args.pretrained, device=args.device)


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
    batches = -(-args.images // args.batch_size)
    rates: dict[str, list[float]] = dict(encoder=[], encode=[])
    for _ in range(args.repeats):
        begun = time.perf_counter()
        for _ in range(batches):
            with torch.inference_mode():
                model.model(batch, mode='tensor').cpu()
        rates['encoder'].append(batches * args.batch_size / (time.perf_counter() - begun))
        begun = time.perf_counter()
        model.encode(images, progress=False, **options)
        rates['encode'].append(args.images / (time.perf_counter() - begun))
    found = {f'{name}_images_s': statistics.median(rate) for name, rate in rates.items()}
    pairs = zip(rates['encode'], rates['encoder'], strict=True)
    return dict(found, ratio=statistics.median(ours / bare for ours, bare in pairs))


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--vectors', type=int, default=100_000)
    parser.add_argument('--dims', type=int, default=384)
    parser.add_argument('--queries', type=int, default=100)
    parser.add_argument('--factories', nargs='*', default=['IVF1024,SQ8'], metavar='FACTORY')
    parser.add_argument('--files', type=int, default=10_000, help='images of the folder of sync')
    parser.add_argument('--model', default='dva_mm::dva_demo.py', help='of sync and extract')
    parser.add_argument('--pretrained', help="file of the frozen encoder's weights")
    parser.add_argument('--device')
    parser.add_argument('--images', type=int, default=512, help='of extract')
    for name, value in (('batch-size', 64), ('workers', 2), ('repeats', 3), ('threads', 1)):
        parser.add_argument(f'--{name}', type=int, default=value)
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=[*TASKS], metavar='TASK')
    parser.add_argument('--oml', action='store_true', help='compare with OML, and no more')
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
        folder = Path(args.folder or temporary)
        if args.oml:
            from benchmark_oml import compare_oml  # beside this file

            run = args.images, args.batch_size, args.workers, args.repeats
            return report('oml', compare_oml(make_model(args), folder, *run))
        if {'search', 'build', 'memory', 'factory'} & set(args.tasks):
            seconds = make_index(folder / 'flat.index', args.vectors, args.dims)
            each = 1e6 * seconds / args.vectors
            print(f'build: {seconds:.1f} s beyond the encoder, {each:.1f} us an image', flush=True)
        if 'search' in args.tasks:
            report('search', search(folder / 'flat.index', args))
        if 'memory' in args.tasks:  # in a process of its own
            command = [sys.executable, __file__, *argv, '--memory-of', str(folder / 'flat.index')]
            child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            report('memory', json.loads(child.stdout.splitlines()[-1]))
        if 'factory' in args.tasks:
            for factory, figures in factories(folder / 'flat.index', args):
                report(factory, figures)
        if 'sync' in args.tasks:
            report('sync', sync(folder, args))
        if 'extract' in args.tasks:
            report('extract', extract(args))


def report(name: str, figures: dict[str, float]) -> None:
    print(
        f'{name}: ' + ', '.join(f'{key} {value:.4g}' for key, value in figures.items()), flush=True
    )


if __name__ == '__main__':
    main()
