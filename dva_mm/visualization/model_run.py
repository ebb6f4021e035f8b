"""The sections of a page that need a config: its data set, its models."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from PIL import Image, ImageDraw

from dva_mm.config import load_config
from dva_mm.datasets.box_file import BoxEntry, image_root, read_box_file
from dva_mm.detection.contact_sheet import FOUND, MISSING, choose_entries
from dva_mm.detection.summary import is_object
from dva_mm.engine.data import merge_options
from dva_mm.retrieval import Retriever

from .answers import find_answers
from .embedding_map import embedding_map
from .looks import Looks, draw_rows, only_patches, to_rgb
from .page import Answers, Section, Shown, pictures_section, ranking_section
from .ranking import draw_ranking
from .shown import common_folder, relative, sample
from .thumbnails import open_picture

DRAWN = 4
"""Queries of the picture that --png writes."""


def model_sections(args: argparse.Namespace) -> list[Section]:
    """The sections that a config's arguments ask for.

    Args:
        args: See :func:`~dva_mm.visualization.arguments.parse_arguments`.

    Raises:
        FileNotFoundError: If the data or the weights are not there.
        ValueError: If the data set has no labels or fewer than two images to find.
    """
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options)
    extra = []
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        if args.views:
            extra.append(views_section(cfg, args.views, args.seed))
        if args.boxes:
            extra.append(boxes_section(cfg, args.boxes))
        if extra and not (args.checkpoint or args.map or args.looks or args.png):
            return extra
        return [*ModelRun(cfg, args).sections(), *extra]


def views_section(cfg: Config, count: int, seed: int) -> Section:
    """Training images as the pipeline makes them.

    Args:
        cfg: With ``train_dataloader``.
        count: Number of images.
        seed: Of the choice.
    """
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    names = ('original', 'discriminative', 'background')
    rows, three = [], False
    for place in sample(len(dataset), count, seed):
        made = dataset[place]
        views, has_background = made['inputs'], made['data_samples'].get('has_background', True)
        three |= not isinstance(views, torch.Tensor)
        views = [views] if isinstance(views, torch.Tensor) else list(views)
        if 'object_patches' in made['data_samples']:
            chosen = made['data_samples']
            tokens = (chosen.object_patches, chosen.background_patches)
            views += [only_patches(views[0], places, chosen.patch_grid) for places in tokens]
            three = True
        cells: list[tuple[Any, str]] = list(zip(map(to_rgb, views), names, strict=False))
        if not has_background:
            cells[2] = None, 'no background: there is no box, or it covers the image'
        rows.append((Path(dataset.get_data_info(place)['img_path']).name, cells))
    text = 'Training images as the pipeline makes them' + (
        '.' if three else '; it makes one view of each, as it has no OPA.'
    )
    return pictures_section(rows, 'Views', text)


def boxes_section(cfg: Config, file: str, count: int = 100) -> Section:
    """A file of boxes, the lowest scores first.

    Args:
        cfg: Whose training set the boxes are of.
        file: Of boxes.
        count: Most images. Defaults to 100.
    """
    header, entries = read_box_file(file)
    root = image_root(cfg.train_dataloader.dataset.data_root)
    chosen = choose_entries(list(entries.values()), count)
    cells = [
        (draw_box(root / entry.image, entry), f'{entry.score:.3f} {entry.source} {entry.image}')
        for entry in chosen
    ]
    text = f'{len(chosen)} of {len(entries):,} boxes from {header["source"]}, lowest scores first.'
    return pictures_section([('', cells)], 'Boxes', text)


def draw_box(path: Path, entry: BoxEntry, side: int = 150) -> Image.Image:
    """An image with its box, in other colour where it is a fallback.

    Args:
        path: Of the image.
        entry: Its box.
        side: Longest side in pixels. Defaults to 150.
    """
    picture = open_picture(path, side)
    scale = picture.width / entry.width
    x1, y1, x2, y2 = (round(value * scale) for value in entry.box)
    frame = x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)
    colour = FOUND if is_object(entry) else MISSING
    ImageDraw.Draw(picture).rectangle(frame, outline=colour, width=2)
    return picture


class ModelRun:
    """A config's test set through the frozen and the trained model.

    Args:
        cfg: The config.
        args: See :func:`~dva_mm.visualization.arguments.parse_arguments`.
    """

    def __init__(self, cfg: Config, args: argparse.Namespace) -> None:
        self.cfg, self.args = cfg, args
        self.dataset = DATASETS.build(cfg.test_dataloader.dataset)
        infos = [self.dataset.get_data_info(place) for place in range(len(self.dataset))]
        if any('gt_label' not in info for info in infos):
            raise ValueError(f'{args.config}: the test set has images without labels')
        self.labels = [int(info['gt_label']) for info in infos]
        self.paths = [info['img_path'] for info in infos]
        names = self.dataset.metainfo.get('classes') or ()
        self.classes = [names[n] if n < len(names) else str(n) for n in self.labels]
        folder = common_folder(self.paths)
        self.images = [
            Shown(path, relative(path, folder), name)
            for path, name in zip(self.paths, self.classes, strict=True)
        ]
        self.offset = self.dataset.metainfo.get('num_queries') or 0
        """First place of the gallery; 0 where queries search one another."""
        self.queries = sample(self.offset or len(infos), args.queries, args.seed)
        if len(infos) - self.offset < 2:
            raise ValueError(f'{args.config}: the test set holds fewer than two images to find')
        self.models = self._load()
        self.embeddings: dict[str, np.ndarray] = {}

    def _load(self) -> dict[str, Retriever]:
        with TemporaryDirectory() as folder:  # the options count for the models as well
            file = Path(folder) / Path(self.args.config.split('::')[-1]).name
            self.cfg.dump(file)
            models = dict(frozen=Retriever.load(file, device=self.args.device))
            if self.args.checkpoint:
                models['trained'] = Retriever.load(
                    file, self.args.checkpoint, device=self.args.device
                )
        return models

    def sections(self) -> list[Section]:
        """Embed, rank, and make the sections."""
        for name, retriever in self.models.items():
            print(f'{name} model: {len(self.dataset):,} images')
            self.embeddings[name] = retriever.encode(
                self.dataset, batch_size=self.args.batch_size, workers=self.args.workers
            )
        answers = [self._answers(name) for name in self.models]
        evaluator = self.cfg.get('test_evaluator') or {}
        ks = evaluator.get('topk', (1, 2, 4, 8)) if isinstance(evaluator, dict) else (1, 2, 4, 8)
        gallery = len(self.images) - self.offset
        text = f'{len(self.queries):,} queries search {gallery:,} images'
        text += '.' if self.offset else ', themselves left out.'
        ks = [ks] if isinstance(ks, int) else ks
        made = [ranking_section(self.images, self.queries, answers, ks, text=text)]
        if self.args.png:
            self._draw(answers)
        if self.args.looks:
            made += self._looks(answers[-1])
        if self.args.map:
            last = list(self.embeddings.values())[-1]
            made.append(embedding_map(self.images, last, self.args.seed))
        return made

    def _answers(self, name: str) -> Answers:
        gallery, labels = self.embeddings[name][self.offset :], self.labels[self.offset :]
        found = find_answers(
            name,
            self.embeddings[name][self.queries],
            gallery,
            [self.labels[query] for query in self.queries],
            labels,
            self.args.topk,
            own=None if self.offset else self.queries,
        )
        return found._replace(hits=[[self.offset + hit for hit in hits] for hits in found.hits])

    def _draw(self, answers: Sequence[Answers]) -> None:
        chosen = sample(len(self.queries), DRAWN, self.args.seed)
        hits = {row.name: torch.tensor([row.hits[place] for place in chosen]) for row in answers}
        scores = {row.name: [row.scores[place] for place in chosen] for row in answers}
        queries = [self.queries[place] for place in chosen]
        draw_ranking(self.paths, self.labels, queries, hits, scores=scores).save(self.args.png)
        print(f'picture: {self.args.png}')

    def _looks(self, answers: Answers) -> list[Section]:
        looks = Looks(self.cfg, self.models, self.args.checkpoint)
        chosen = sample(len(self.queries), self.args.looks, self.args.seed)
        queries = [self.queries[place] for place in chosen]
        nearest = [answers.hits[place][0] for place in chosen]
        rows = looks.of_queries(
            self.dataset, self.labels, self.classes, self.embeddings, queries, nearest
        )
        text = (
            'What makes an image like the others of its class (HiResCAM towards the mean embedding '
            'of its class, without itself), where the class token attends in the last three '
            'blocks, and what makes the image and its nearest one alike.'
        )
        made = [pictures_section(rows, 'Where the model looks', text)]
        if self.args.looks_png:
            draw_rows(rows).save(self.args.looks_png)
            print(f'picture: {self.args.looks_png}')
        if proxied := looks.of_training_images(self.args.looks, self.args.seed):
            text = 'Training images: HiResCAM towards the trained proxy of their class.'
            made.append(pictures_section(proxied, 'Where the model looks: class proxies', text))
        return made
