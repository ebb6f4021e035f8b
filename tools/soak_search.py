"""Changes and searches of an index for a long time: do memory, open files or threads grow?

python tools/soak_search.py --minutes 60 --log soak.log

Each round draws some new photographs, removes some, syncs, adds and removes one in memory, and
searches; the index keeps about as many images as at the start. Each minute goes to the log. Linux
only.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from dva_mm.retrieval import Index, Retriever


def measure() -> dict[str, float]:
    """Memory in MB, open files and threads of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    values = dict(line.split(':', 1) for line in lines)
    return dict(
        memory_mb=int(values['VmRSS'].split()[0]) / 1024,
        files=len(list(Path('/proc/self/fd').iterdir())),
        threads=int(values['Threads']),
        objects=len(gc.get_objects()),
    )


def draw(rng: np.random.Generator) -> np.ndarray:
    """A picture, (64, 64, 3) uint8, of large coloured squares."""
    return rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)


def one_round(index: Index, photos: Path, rng: np.random.Generator, number: int) -> int:
    """Change four files in the folder and one picture in memory, and search; searches made."""
    for new in range(4):
        Image.fromarray(draw(rng)).save(photos / f'{number:07d}_{new}.png')
    for old in sorted(photos.iterdir())[:4]:
        old.unlink()
    index.sync(photos, workers=0, progress=False)
    index.add([draw(rng)], labels=['memory'], workers=0, progress=False)
    files = sorted(photos.iterdir())
    index.search(files[-3:], k=5, exclude_self=True)
    index.search(draw(rng), k=5, rerank=dict(type='AQE'))
    index.search(draw(rng), k=5, rerank=dict(type='KReciprocal'))
    index.search(draw(rng), k=None, min_score=0.5)
    index.search(draw(rng), k=5, where=dict(label='memory'))
    index.remove(where=dict(label='memory'))
    index.duplicates(0.99)
    return 7


def trend(rows: list[dict[str, float]], name: str) -> float:
    """Least-squares slope of a figure, an hour, after the first tenth."""
    rows = rows[len(rows) // 10 :]
    if len(rows) < 2:
        return 0.0
    return float(np.polyfit([row['minute'] / 60 for row in rows], [r[name] for r in rows], 1)[0])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--every', type=float, default=60, help='seconds between two lines')
    parser.add_argument('--pause', type=float, default=0, help='seconds between two rounds')
    parser.add_argument('--images', type=int, default=200, help='of the folder')
    parser.add_argument('--model', default='dva_mm::dva_demo.py')
    parser.add_argument('--log', default='soak.log')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows: list[dict[str, float]] = []
    with TemporaryDirectory() as folder, open(args.log, 'w', buffering=1) as log:
        photos = Path(folder) / 'photos'
        photos.mkdir()
        for number in range(args.images):
            Image.fromarray(draw(rng)).save(photos / f'-{number:07d}.png')
        retriever = Retriever.load(args.model, device='cpu')
        index = Index.build(retriever, photos, Path(folder) / 'soak.index', workers=0)
        begun, due, rounds, searches = time.monotonic(), 0.0, 0, 0

        def note(passed: float) -> None:
            row = dict(minute=round(passed / 60, 2), rounds=rounds, searches=searches)
            rows.append(row | measure())
            log.write(json.dumps(rows[-1]) + '\n')

        while (passed := time.monotonic() - begun) < 60 * args.minutes:
            searches += one_round(index, photos, rng, rounds)
            rounds += 1
            if passed >= due:
                due += args.every
                note(passed)
            time.sleep(args.pause)
        note(time.monotonic() - begun)
        index.close()
    print(f'{rounds} rounds, {searches} searches in {args.minutes:g} minutes')
    for name in ('memory_mb', 'files', 'threads', 'objects'):
        first, last = rows[0][name], rows[-1][name]
        print(f'{name}: first {first:.6g}, last {last:.6g}, {trend(rows, name):+.3g} an hour')


if __name__ == '__main__':
    sys.exit(main())
