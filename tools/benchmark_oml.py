"""Embedding a folder of JPEG files beside the inference of open-metric-learning.

python tools/benchmark_search.py --oml runs it: the same files, the same encoder, the same test
pipeline (OML's by torchvision), turn by turn in one process.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dva_mm.retrieval import Retriever


class Encoder(torch.nn.Module):
    """A retriever's model as OML wants one: pixels (B, 3, H, W) to unit-norm (B, D)."""

    def __init__(self, retriever: Retriever) -> None:
        super().__init__()
        self.model = retriever.model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(self.model(pixels, mode='tensor'), dim=1)


def draw_files(folder: Path, count: int) -> list[Path]:
    """JPEG files of 500 x 375 pixels."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f'{number}.jpg' for number in range(count)]
    for file in files:
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(file, quality=90)
    return files


def compare_oml(
    retriever: Retriever, folder: Path, count: int, batch_size: int, workers: int, repeats: int
) -> dict[str, float]:
    """Rates of both, the median ratio of neighbouring turns, and how far the embeddings agree."""
    try:
        from oml.datasets import ImageBaseDataset
        from oml.inference import inference
    except ImportError as error:
        raise SystemExit(
            f'--oml needs an environment with open-metric-learning (numpy<2) and dva_mm: {error}'
        ) from error
    from torchvision import transforms

    files = draw_files(folder / 'jpegs', count)
    size = retriever.model.backbone.encoder_info()['img_size']
    size = size if isinstance(size, int) else size[0]
    scale = round(size * 8 / 7)
    preprocessor = retriever.model.data_preprocessor
    mean, std = ((getattr(preprocessor, name) / 255).flatten() for name in ('mean', 'std'))
    transform = transforms.Compose(
        [
            transforms.Resize((scale, scale), antialias=True),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(mean.tolist(), std.tolist()),
        ]
    )
    encoder = Encoder(retriever)

    def theirs(some: list[Path]) -> np.ndarray:
        dataset = ImageBaseDataset(some, transform=transform)
        return inference(encoder, dataset, batch_size, workers).cpu().numpy()

    def ours(some: list[Path]) -> np.ndarray:
        return retriever.encode(some, batch_size, workers, progress=False)

    cosine = float((theirs(files[:batch_size]) * ours(files[:batch_size])).sum(1).mean())
    rates: dict[str, list[float]] = dict(oml=[], encode=[])
    for _ in range(repeats):
        for name, embed in (('oml', theirs), ('encode', ours)):
            begun = time.perf_counter()
            embed(files)
            rates[name].append(count / (time.perf_counter() - begun))
    found = {f'{name}_images_s': statistics.median(rate) for name, rate in rates.items()}
    pairs = zip(rates['encode'], rates['oml'], strict=True)
    return dict(found, ratio=statistics.median(a / b for a, b in pairs), mean_cosine=cosine)
