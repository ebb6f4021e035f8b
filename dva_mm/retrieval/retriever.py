"""Retriever: from images to embeddings, in three lines."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from dva_mm import register
from dva_mm.config import load_config
from dva_mm.engine.publish import load_adapter
from dva_mm.engine.speed import PRECISIONS, compile_encoder

from .hub import PREFIX, download
from .images import as_images, chunks, dataset_batches, load_batches, name_of
from .source import absolute_source, config_of, find_weights, fingerprint


class Embedded(NamedTuple):
    """A batch of embeddings."""

    rows: list[int]
    """Places of the images in the order given."""
    embeddings: np.ndarray
    """(B, D) float32, each of length 1."""
    failures: list[tuple[int, str]]
    """Place and reason of each image of the batch that could not be read."""


class Retriever:
    """A model that embeds images. :meth:`load` makes one.

    Args:
        model: A DVARetriever; its head is not used.
        pipeline: Configs of the test pipeline: a loading transform, what follows, ``PackInputs``.
        device: 'cpu', 'cuda' or 'cuda:I'. Defaults to None: the GPU where there is one.
        precision: 'fp32', or 'bf16' or 'fp16' for automatic mixed precision. Defaults to 'fp32'.
        compile: Compile the encoder with ``torch.compile``; the first batch then takes longer.
            Defaults to False.
        name: What the model is called in an index. Defaults to ''.

    Raises:
        ValueError: If the precision is unknown or the pipeline does not begin with a loader.

    >>> retriever = Retriever.load('dva_mm::dva_demo.py', device='cpu')
    >>> picture = np.zeros((64, 64, 3), np.uint8)
    >>> retriever.encode([picture, picture], workers=0, progress=False).shape
    (2, 128)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        pipeline: Sequence[dict],
        device: str | torch.device | None = None,
        precision: str = 'fp32',
        compile: bool = False,
        name: str = '',
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision must be one of {list(PRECISIONS)}, got {precision!r}')
        if not pipeline or 'Load' not in pipeline[0]['type']:
            raise ValueError(f'a test pipeline begins with a loading transform, got {pipeline}')
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self.precision = precision
        self.name = name
        self.origin: dict[str, str | None] = {}  # the arguments of load()
        transforms = [TRANSFORMS.build(dict(transform)) for transform in pipeline]
        self._load, self._transforms = Compose(transforms[:1]), Compose(transforms[1:])
        self.pipeline = [dict(transform) for transform in pipeline]
        self.fingerprint = fingerprint(model, pipeline)
        encoder = model.backbone
        tuning = getattr(encoder, 'encoder_info', dict)().get('tuning') or {}
        if tuning.get('type') == 'ICA' and tuning['act'] is None:
            encoder.merge()
        self.model = model.to(self.device).eval().requires_grad_(False)
        if compile:
            compile_encoder(encoder)

    @classmethod
    def load(
        cls,
        source: str | Path,
        checkpoint: str | Path | None = None,
        pretrained: str | Path | None = None,
        **options: Any,
    ) -> 'Retriever':
        """Load a model from a published file, from a config and a checkpoint, or a config alone.

        Args:
            source: A published ``.safetensors`` or ``.pth``, which carries its config, or one on
                the Hugging Face hub, ``'hf://USER/NAME'``; a config file or
                ``'dva_mm::NAME.py'``; or an exported ``.onnx`` or ``.pt2``.
            checkpoint: A run's or a published checkpoint for a config. Defaults to None: the
                frozen encoder, without what only training fills.
            pretrained: File of the frozen encoder's weights, where it lies elsewhere than the
                config says. Defaults to None.
            **options: ``device``, ``precision``, ``compile``; see :class:`Retriever`. Of an
                exported file, ``device`` and ``threads``; see :func:`dva_mm.export.load_exported`.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If the file is damaged or carries no config, or the weights do not fit.
        """
        source = os.fspath(source)
        given = dict(source=source, checkpoint=checkpoint, pretrained=pretrained)
        origin = {name: absolute_source(file) for name, file in given.items()}
        if source.startswith(PREFIX):
            source = download(source)
        if source.endswith(('.onnx', '.pt2')):
            return _load_exported(source, checkpoint, pretrained, **options)
        if source.endswith(('.safetensors', '.pth')):
            if checkpoint is not None:
                raise ValueError(
                    f'{source} is a checkpoint itself; give a config with {checkpoint}'
                )
            register()
            cfg, checkpoint = config_of(source), source
        else:
            cfg = load_config(source)
        name = Path(checkpoint or source).name
        cfg.model.head = None
        if checkpoint is None:
            cfg.model.neck = None
            if cfg.model.backbone.type == 'FrozenViT':
                cfg.model.backbone.tuning = None
        if pretrained is not None:
            cfg.model.backbone.pretrained = os.fspath(pretrained)
        find_weights(cfg)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(cfg.model)
            if checkpoint is not None:
                load_adapter(model, os.fspath(checkpoint))
            retriever = cls(model, cfg.test_dataloader.dataset.pipeline, name=name, **options)
        retriever.origin = origin
        return retriever

    @property
    def dims(self) -> int:
        """Width D of the embeddings."""
        neck = self.model.neck
        return self.model.backbone.embed_dims if neck is None else neck.out_channels

    def encode(
        self,
        images: Any,
        batch_size: int = 64,
        workers: int = 2,
        flip: bool = False,
        errors: str = 'raise',
        progress: bool = True,
    ) -> np.ndarray:
        """Embed images, in the order given.

        Args:
            images: A path, PIL image or array (H, W, 3) RGB uint8; a folder, of which all images
                are taken, sorted by path; a sequence or generator of paths, PIL images and arrays;
                or a data set of MMEngine, with its own pipeline.
            batch_size: Images a forward. Defaults to 64.
            workers: Processes that read images. Defaults to 2.
            flip: Average each embedding with the mirrored image's. Defaults to False.
            errors: 'raise' stops at an unreadable image; 'skip' leaves it out and logs its name.
                Defaults to 'raise'.
            progress: Show a progress bar. Defaults to True.

        Returns:
            (N, D) float32, each row of length 1; of 'skip', the rows of the readable images.

        Raises:
            ValueError: If an image cannot be read and ``errors`` is 'raise', or an option is
                unknown.
            FileNotFoundError: If a folder does not exist.
        """
        if errors not in ('raise', 'skip'):
            raise ValueError(f"errors must be 'raise' or 'skip', got {errors!r}")
        images = as_images(images)
        parts, left_out = [], []
        total = len(images) if hasattr(images, '__len__') else None
        with tqdm(total=total, desc='embed', unit='image', disable=not progress) as bar:
            for batch in self.stream(images, batch_size, workers, flip):
                for row, reason in batch.failures:
                    named = isinstance(images, Sequence)
                    name = name_of(images[row], row) if named else f'image {row}'
                    if errors == 'raise':
                        raise ValueError(f'{name} cannot be read: {reason}')
                    left_out.append(f'{name}: {reason}')
                parts.append(batch.embeddings)
                bar.update(len(batch.rows) + len(batch.failures))
        if left_out:
            shown = '\n  '.join(left_out[:20]) + ('\n  ...' if len(left_out) > 20 else '')
            print_log(
                f'{len(left_out)} images cannot be read and are left out:\n  {shown}',
                logger='current',
                level=logging.WARNING,
            )
        return np.concatenate(parts) if parts else np.empty((0, self.dims), np.float32)

    def stream(
        self, images: Any, batch_size: int = 64, workers: int = 2, flip: bool = False
    ) -> Iterator[Embedded]:
        """Embed images batch by batch; see :meth:`encode`. Nothing is raised or logged."""
        images = as_images(images)
        if isinstance(images, Dataset):
            for batch in dataset_batches(images, batch_size, workers):
                yield Embedded(batch.rows, self._embed(batch.pixels, flip), [])
            return
        lists = [(0, images)] if isinstance(images, Sequence) else chunks(images)
        for start, some in lists:
            if not len(some):
                continue
            for batch in load_batches(some, self._load, self._transforms, batch_size, workers):
                rows = [start + row for row in batch.rows]
                failures = [(start + row, reason) for row, reason in batch.failures]
                yield Embedded(rows, self._embed(batch.pixels, flip), failures)

    @torch.inference_mode()
    def _embed(self, pixels: Tensor | None, flip: bool) -> np.ndarray:
        """(B, 3, H, W) uint8 -> (B, D) float32 of unit length."""
        if pixels is None:
            return np.empty((0, self.dims), np.float32)
        pixels = pixels.to(self.device, non_blocking=True)
        views = self.model.data_preprocessor(dict(inputs=pixels, data_samples=None))['inputs']
        dtype = PRECISIONS[self.precision]
        mixed = nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)
        with mixed:
            embeddings = self.model(views, mode='tensor')
            if flip:
                embeddings = embeddings + self.model(views.flip(-1), mode='tensor')
        return F.normalize(embeddings.float(), dim=1).cpu().numpy()


def _load_exported(source: str, checkpoint: Any, pretrained: Any, **options: Any) -> Retriever:
    given = dict(checkpoint=checkpoint, pretrained=pretrained)
    if extra := [name for name, file in given.items() if file is not None]:
        raise ValueError(f'{source} is an exported model, which holds all; leave out {extra[0]}')
    from dva_mm.export import load_exported

    return load_exported(source, **options)
