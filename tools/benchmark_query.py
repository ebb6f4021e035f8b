"""What a query costs: DVA embeds the whole image; others first look for the object and cut it out.

python tools/benchmark_query.py --model vit_base_patch16_224:224
python tools/benchmark_query.py --device cuda --rounds 50

Each way embeds one image of the encoder's size that is in memory. Weights are random, which take as
long. All ways run in turn in this process, --rounds times after one warm-up; each line has the
median time, its quartiles, and the median over rounds of its ratio to DVA of the same round. The
boxes' sources run the encoder once more; Grounding DINO (transformers' default size, its text of
five tokens) gets 800 x 1066 pixels, to which its processor resizes photographs of 4 to 3.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS, TASK_UTILS
from torch import Tensor

import dva_mm  # noqa: F401  registers the models
from dva_mm.detection import sources  # noqa: F401  registers the sources of boxes

DETECTOR_SIZE = (800, 1066)
TEXT = [101, 1037, 4743, 1012, 102]  # 'a bird.' in BERT's vocabulary
Way = Callable[[], Tensor]


def crop(image: Tensor, box: Sequence[float]) -> Tensor:
    """The box of an image (3, H, W), at the image's size: (1, 3, H, W)."""
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    part = image[None, :, y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].float()
    return F.interpolate(part, image.shape[-2:], mode='bilinear', antialias=True)


def make_ways(arch: str, size: int, device: str, detector: bool) -> dict[str, Way]:
    """Name -> what embeds the one image: (1, C)."""
    encoder = dict(type='FrozenViT', arch=arch, pretrained=False, img_size=size)
    dva, bare = (
        MODELS.build(dict(encoder, tuning=tuning)).to(device).eval()
        for tuning in (dict(type='ICA'), None)
    )
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8)).to(device)
    image = pixels[None].float() / 255

    def by_source(kind: str) -> Way:
        given = dict(type=kind, encoder=encoder, data_preprocessor={}, device=device)
        source = TASK_UTILS.build(given)
        return lambda: bare(crop(pixels, source.detect([pixels], [(size, size)])[0].box))[0]

    ways = {
        'frozen encoder, whole image': lambda: bare(image)[0],
        'DVA, whole image': lambda: dva(image)[0],
        'PatchPCA, then its crop': by_source('PatchPCA'),
        'AttentionBoxes, then its crop': by_source('AttentionBoxes'),
    }
    if detector:
        ways['Grounding DINO, then its crop'] = by_detector(bare, pixels, device)
    return ways


def by_detector(encoder: torch.nn.Module, pixels: Tensor, device: str) -> Way:
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    model = GroundingDinoForObjectDetection(GroundingDinoConfig()).to(device).eval()
    batch = dict(
        pixel_values=torch.randn(1, 3, *DETECTOR_SIZE, device=device),
        pixel_mask=torch.ones(1, *DETECTOR_SIZE, dtype=torch.long, device=device),
        input_ids=torch.tensor([TEXT], device=device),
    )

    def embed() -> Tensor:
        found = model(**batch)
        best = found.logits.sigmoid().amax(dim=(0, 2)).argmax()
        x, y, width, height = (found.pred_boxes[0, best] * pixels.shape[-1]).tolist()
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        box = [min(max(corner, 0), pixels.shape[-1] - 1) for corner in corners]
        return encoder(crop(pixels, box))[0]

    return embed


@torch.inference_mode()
def measure(ways: dict[str, Way], rounds: int, device: str) -> list[dict]:
    """One row a way: ``name``, ``seconds``, ``quartiles``, ``to_dva``."""

    def run(way: Way) -> float:
        if device == 'cuda':
            torch.cuda.synchronize()
        begun = time.perf_counter()
        way().cpu()
        return time.perf_counter() - begun

    for way in ways.values():
        run(way)
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(run(way))
    rows = []
    for name, spent in times.items():
        low, _, high = quantiles(spent, n=4) if rounds > 1 else 3 * spent
        ratios = [one / two for one, two in zip(spent, times['DVA, whole image'], strict=True)]
        found = dict(name=name, seconds=median(spent), quartiles=[low, high])
        rows.append(found | dict(to_dva=median(ratios)))
    return rows


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='vit_base_patch16_224:224', help='timm name:pixels')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--threads', type=int, default=1, help="torch's threads on a CPU")
    parser.add_argument('--no-detector', action='store_true', help='leave Grounding DINO out')
    parser.add_argument('--json', type=Path, help='add the rows here, one JSON object a line')
    args = parser.parse_args(argv)
    if min(args.rounds, args.threads) < 1:
        parser.error('--rounds and --threads must be positive')
    if not args.model.partition(':')[2].isdecimal():
        parser.error(
            f'--model is a name and a size, such as deit_tiny_patch16_224:224: {args.model}'
        )
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    arch, _, size = args.model.partition(':')
    ways = make_ways(arch, int(size), args.device, not args.no_detector)
    print(f'{args.model}, {args.device}; median time of a query (quartiles), of DVA')
    for row in measure(ways, args.rounds, args.device):
        low, high = (1000 * value for value in row['quartiles'])
        times = f'{1000 * row["seconds"]:9.1f} ms ({low:.1f}-{high:.1f})'
        print(f'{row["name"]:32} {times:32} {row["to_dva"]:7.2f}')
        if args.json:
            with args.json.open('a') as file:
                file.write(json.dumps(dict(model=args.model, device=args.device, **row)) + '\n')


if __name__ == '__main__':
    main()
