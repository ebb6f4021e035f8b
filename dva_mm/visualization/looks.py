"""Rows of pictures that show where models look."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import DATASETS
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import Dataset

from dva_mm.models import Whitening
from dva_mm.retrieval import Retriever

from .maps import activation_maps, attention_maps, class_means, overlay
from .shown import sample
from .thumbnails import open_picture

Row = tuple[str, list[tuple[Any, str]]]
"""A name, and pictures with their captions."""


class Looks:
    """Maps of some images by each model.

    Args:
        cfg: The models' config.
        models: By name, the one of interest last.
        checkpoint: It; may hold proxies. Defaults to None.
    """

    def __init__(
        self, cfg: Config, models: dict[str, Retriever], checkpoint: str | None = None
    ) -> None:
        self.cfg, self.models, self.checkpoint = cfg, models, checkpoint

    def of_queries(
        self,
        dataset: Dataset,
        labels: Sequence[int],
        classes: Sequence[str],
        embeddings: dict[str, np.ndarray],
        queries: Sequence[int],
        nearest: Sequence[int],
    ) -> list[Row]:
        """Each query: towards its class, attention, and towards its nearest image and back.

        Args:
            dataset: The test set, N images.
            labels, classes: Of each image, by number and by name.
            embeddings: (N, D) of each model.
            queries: Q places.
            nearest: What the last model finds first for each, Q places.
        """
        pixels = torch.stack([dataset[place]['inputs'] for place in queries])  # (Q, 3, H, W)
        others = torch.stack([dataset[place]['inputs'] for place in nearest])
        rows: list[Row] = []
        for place, picture in zip(queries, pixels, strict=True):
            rows.append((classes[place], [(to_rgb(picture), f'input: {classes[place]}')]))
        for name, retriever in self.models.items():
            vectors = embeddings[name]
            views = _prepare(retriever, pixels)
            towards = activation_maps(
                retriever.model, views, torch.from_numpy(class_means(vectors, labels, queries))
            )
            _add(rows, pixels, towards, f'{name}: towards its class')
            _add(rows, pixels, attention_maps(retriever.model, views), f'{name}: attention')
        name, retriever = list(self.models.items())[-1]
        vectors = torch.from_numpy(embeddings[name])
        there = activation_maps(retriever.model, _prepare(retriever, pixels), vectors[nearest])
        back = activation_maps(retriever.model, _prepare(retriever, others), vectors[queries])
        _add(rows, pixels, there, f'{name}: towards its nearest')
        _add(rows, others, back, [f'nearest: {classes[place]}' for place in nearest])
        return rows

    def of_training_images(self, count: int, seed: int) -> list[Row]:
        """Training images towards the proxy of their class; none where there are no proxies.

        Args:
            count: Number of images.
            seed: Of their choice.
        """
        proxies = read_proxies(self.checkpoint) if self.checkpoint else None
        data = self.cfg.test_dataloader.dataset
        if proxies is None or data.type != 'FineGrainedDataset':
            return []
        dataset = DATASETS.build({**data, 'split': 'train', 'gallery': None})
        places = sample(len(dataset), count, seed)
        infos = [dataset.get_data_info(place) for place in places]
        names = dataset.metainfo['classes']
        pixels = torch.stack([dataset[place]['inputs'] for place in places])
        rows = [
            (names[info['gt_label']], [(to_rgb(picture), 'input')])
            for info, picture in zip(infos, pixels, strict=True)
        ]
        targets = proxies[[info['gt_label'] for info in infos]]
        for name, retriever in self.models.items():
            neck = retriever.model.neck
            # Proxies lie among the encoder's embeddings, which this neck changes for retrieval.
            own = neck(targets.to(retriever.device)) if isinstance(neck, Whitening) else targets
            maps = activation_maps(retriever.model, _prepare(retriever, pixels), own)
            _add(rows, pixels, maps, f'{name}: towards its proxy')
        return rows


def read_proxies(checkpoint: str) -> Tensor | None:
    """The class proxies (K, D) of a run's checkpoint; None of one that has none.

    Args:
        checkpoint: Published files have none: they leave the head out.
    """
    held = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    return held.get('state_dict', held).get('head.proxies')


def to_rgb(pixels: Tensor) -> np.ndarray:
    """Pixels (3, H, W) uint8 BGR, as PackInputs makes them, as a picture (H, W, 3) RGB.

    >>> to_rgb(torch.tensor([[[1]], [[2]], [[3]]], dtype=torch.uint8)).tolist()
    [[[3, 2, 1]]]
    """
    return np.ascontiguousarray(pixels.flip(0).permute(1, 2, 0).numpy())


def only_patches(image: Tensor, places: Tensor, grid: Sequence[int]) -> Tensor:
    """An image (3, H, W) whose other patches are grey.

    Args:
        image: (3, H, W), of values from 0 to 255.
        places: Of the patches that stay, (n,), row by row.
        grid: Rows and columns of patches.

    >>> only_patches(torch.ones(3, 2, 2), torch.tensor([1]), (2, 2))[0].tolist()
    [[128.0, 1.0], [128.0, 128.0]]
    """
    stays = torch.zeros(grid[0] * grid[1], dtype=torch.bool)
    stays[places] = True
    mask = stays.view(*grid)
    for dim, count in enumerate(grid):
        mask = mask.repeat_interleave(image.shape[dim + 1] // count, dim=dim)  # (H, W) at the end
    return image.where(mask, torch.full_like(image, 128))


def draw_rows(rows: Sequence[Row], tile: int = 128) -> Image.Image:
    """Rows as one picture, each tile with its caption below.

    Args:
        rows: Of arrays (H, W, 3) RGB uint8.
        tile: Side of a picture in pixels. Defaults to 128.

    >>> draw_rows([('bird', [(np.zeros((8, 8, 3), np.uint8), 'input')])], tile=16).size
    (24, 48)
    """
    gap, text = 8, 24
    columns = max(len(cells) for _, cells in rows)
    size = columns * (tile + gap), len(rows) * (tile + text + gap)
    canvas = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(canvas)
    for down, (_, cells) in enumerate(rows):
        for across, (image, caption) in enumerate(cells):
            x, y = across * (tile + gap) + gap // 2, down * (tile + text + gap)
            canvas.paste(open_picture(image).resize((tile, tile)), (x, y))
            draw.text((x, y + tile), '\n'.join(textwrap.wrap(caption, 22)[:2]), fill='black')
    return canvas


def _prepare(retriever: Retriever, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) uint8 as the model takes them, on its device."""
    data = dict(inputs=pixels.to(retriever.device), data_samples=None)
    return retriever.model.data_preprocessor(data)['inputs']


def _add(rows: list[Row], pixels: Tensor, maps: np.ndarray, captions: str | Sequence[str]) -> None:
    captions = [captions] * len(rows) if isinstance(captions, str) else captions
    for row, picture, heat, caption in zip(rows, pixels, maps, captions, strict=True):
        row[1].append((overlay(to_rgb(picture), heat), caption))
