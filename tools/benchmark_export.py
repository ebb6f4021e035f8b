"""Exported models beside the model they were made from: Recall@1, size and speed, in one run.

python tools/benchmark_export.py flowers102 --model dva_mm::ica_deit_tiny_folder.py \
    --checkpoint epoch_1.pth --pretrained deit_tiny_patch16_224.safetensors

Each class of the folder (a sub-folder) from the middle one on is unseen by an open-set training on
the others; each of their images is searched among the rest. Speed is of ready batches, turn by
turn, on a CPU.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from dva_mm.export import export
from dva_mm.retrieval import Retriever
from dva_mm.retrieval.images import find_images

VARIANTS = ('fp32.onnx', 'fp16.onnx', 'int8.onnx', 'fp32.pt2', 'fp16.pt2')


def recall_at_1(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Share of images, in percent, whose nearest other image is of their class."""
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    return 100 * float((labels[scores.argmax(axis=1)] == labels).mean())


def unseen(folder: str) -> tuple[list[str], np.ndarray]:
    """Files of the second half of the classes, and their labels."""
    files = find_images(folder)
    names = sorted({Path(file).parent.name for file in files})
    kept = {name: label for label, name in enumerate(names[len(names) // 2 :])}
    files = [file for file in files if Path(file).parent.name in kept]
    return files, np.array([kept[Path(file).parent.name] for file in files])


def speeds(models: dict[str, Retriever], batch_size: int, repeats: int) -> dict[str, list[float]]:
    """Images per second of each model, once a turn."""
    rates: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(repeats + 1):  # the first one warms up
        for name, retriever in models.items():
            size = models['torch'].model.backbone.encoder_info()['img_size']
            height, width = (size, size) if isinstance(size, int) else size
            images = torch.randn(batch_size, 3, height, width)
            begun = time.perf_counter()
            with torch.inference_mode():
                retriever.model(images, mode='tensor')
            if turn:
                rates[name].append(batch_size / (time.perf_counter() - begun))
    return rates


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', help='one sub-folder of images a class')
    parser.add_argument('--model', default='dva_mm::dva_demo.py')
    parser.add_argument('--checkpoint')
    parser.add_argument('--pretrained', help="file of the frozen encoder's weights")
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=15)
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch_model = Retriever.load(args.model, args.checkpoint, args.pretrained, device='cpu')
    files, labels = unseen(args.folder)
    print(f'{len(files)} images of {labels.max() + 1} classes')
    with TemporaryDirectory() as temporary:
        models, sizes = dict(torch=torch_model), {}
        for name in args.variants:
            path = Path(temporary, name)
            export(torch_model, path, name.partition('.')[0])
            models[name], sizes[name] = Retriever.load(path, device='cpu'), path.stat().st_size
        rates = speeds(models, args.batch_size, args.repeats)
        exact = None
        for name, retriever in models.items():
            rows = retriever.encode(files, workers=args.workers, progress=False)
            exact = rows if exact is None else exact
            figures = dict(
                recall_at_1=recall_at_1(rows, labels),
                min_cosine=float((rows * exact).sum(1).min()),
                megabytes=sizes.get(name, 0) / 1e6,
                images_s=statistics.median(rates[name]),
                ratio=statistics.median(
                    ours / base for ours, base in zip(rates[name], rates['torch'], strict=True)
                ),
            )
            shown = ', '.join(f'{key} {value:.4f}' for key, value in figures.items())
            print(f'{name}: {shown}', flush=True)


if __name__ == '__main__':
    main()
