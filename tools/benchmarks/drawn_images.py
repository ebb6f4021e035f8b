"""Drawn photographs: JPEGs of any size with detail at all scales, and a box in each."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

QUALITY = 95
Size = tuple[int, int]


def draw_scene(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, tuple[int, ...]]:
    """An image (H, W, 3) uint8 with detail at all scales, and x1, y1, x2, y2 of its object.

    500 x 375 pixels at quality 95 take about as many bytes as an image of CUB-200-2011.
    """
    width, height = size
    image = np.full((height, width, 3), 120.0, dtype=np.float32)
    across, contrast = 4, 40.0
    while across < width:
        grid = (max(2, across * height // width), across)
        noise = rng.normal(0, contrast, (*grid, 1)) + rng.normal(0, contrast / 2, (*grid, 3))
        image += cv2.resize(noise.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        across, contrast = 2 * across, contrast / 2**0.45
    image += rng.normal(0, contrast, (height, width, 1)).astype(np.float32)
    sides = rng.uniform(0.4, 0.8, 2) * size
    x, y = rng.uniform(0, 1, 2) * (size - sides)
    box = tuple(int(value) for value in (x, y, x + sides[0], y + sides[1]))
    return np.clip(image, 0, 255).astype(np.uint8), box


def draw_samples(folder: Path, size: Size, count: int) -> list[dict]:
    """Write JPEGs and describe them as FineGrainedDataset does."""
    rng = np.random.default_rng(0)
    samples = []
    for index in tqdm(range(count), desc='drawing', leave=False):
        image, box = draw_scene(rng, size)
        path = str(folder / f'{size[0]}x{size[1]}_{index}.jpg')
        cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        box = np.asarray(box, dtype=np.float32)
        samples.append(dict(img_path=path, gt_label=index, box=box, sample_idx=index))
    return samples


def parse_size(text: str) -> Size:
    """'WxH' as a pair."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) > 0):
        raise argparse.ArgumentTypeError(f'{text!r} is not WIDTHxHEIGHT, such as 500x375')
    return int(width), int(height)
