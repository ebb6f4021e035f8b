"""The registered data set: a reader x a protocol."""

import logging
import random
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .benchmarks import BENCHMARKS
from .box_file import load_box_file
from .image import LoadImage
from .image_cache import ImageCache
from .protocols import PROTOCOLS, find_repeats, select_side
from .published import find_differences
from .record import Reading, Record

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class FineGrainedDataset(BaseDataset):
    """Images of one side of a retrieval protocol, labelled from 0, with boxes where known.

    Each image gives ``img_path``, ``gt_label`` and ``box`` (float32 xyxy in pixels of the image
    file, or None) to the pipeline. ``metainfo`` has ``classes``; ``super_classes``, a name for each
    of ``classes``, where the reader knows them; and ``num_queries`` where the test side has
    queries and a gallery: the queries are the first so many images. A warning names where the
    numbers of classes and images differ from a benchmark's published ones.

    Args:
        data_root: Folder of the data set ('csv': or the file).
        reader: Its format, a name in ``BENCHMARKS``: 'cub', 'cars', 'folder', 'csv' or another of
            docs/datasets.md. Defaults to 'cub'.
        protocol: 'open' (half of the classes trains, the other half tests; NABirds: 255 and 300,
            iNaturalist: Smooth-AP's lists where present, an open-set official split: that one) or
            'closed' (the official images of the same classes). Defaults to 'open'.
        split: 'train', 'val' (only with ``val_classes``) or 'test'. Defaults to 'train'.
        val_classes: Share of the training classes held out for model selection, in [0, 1): the
            last ones, at least two. 'train' goes without them, 'val' is exactly their training
            images, 'test' stays what it is: train again without this option for publication.
            ``--cfg-options val_classes=0.2 val_dataloader.dataset.split=val`` sets it for all
            data sets, as it must be. Defaults to 0.
        gallery: 'train' searches the training images for each test image, in the closed-set
            protocol's 'test'. None searches the other test images, or the official gallery.
            Defaults to None.
        boxes: 'annotation' takes the boxes that the reader found; else a file of boxes, one an
            image, that tools/cache_boxes.py wrote. Defaults to 'annotation'.
        cache: ``folder`` and ``scale`` of an :class:`ImageCache`, which takes the place of
            ``LoadImage`` at the start of the pipeline: images are decoded once and resized to
            ``scale``, from which everything behind it starts. None decodes them each time.
            Defaults to None.
        **kwargs: Options of mmpretrain's BaseDataset, ``pipeline`` above all.

    Raises:
        FileNotFoundError: if the data are not there; names folder, source and layout.
        ValueError: if an option is unknown or does not suit the others, the files disagree, fewer
            than two classes are left, or an image is listed twice where it is evaluated.

    >>> import tempfile
    >>> from pathlib import Path
    >>> lines = ['path,label', *(f'{name}/{i}.jpg,{name}' for name in 'abcd' for i in (1, 2))]
    >>> file = Path(tempfile.mkdtemp()) / 'birds.csv'
    >>> _ = file.write_text('\\n'.join(lines))
    >>> FineGrainedDataset(str(file), reader='csv', split='test').metainfo['classes']
    ('c', 'd')
    """

    def __init__(
        self,
        data_root: str,
        reader: str = 'cub',
        protocol: str = 'open',
        split: str = 'train',
        val_classes: float = 0.0,
        gallery: str | None = None,
        boxes: str = 'annotation',
        cache: dict | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value, known in (
            ('reader', reader, BENCHMARKS),
            ('protocol', protocol, PROTOCOLS),
            ('split', split, SPLITS),
            ('gallery', gallery, (None, 'train')),
        ):
            if value not in known:
                raise ValueError(
                    f'FineGrainedDataset {name} must be one of {list(known)}, got {value!r}'
                )
        if not 0 <= val_classes < 1:  # NaN too
            raise ValueError(
                'FineGrainedDataset val_classes is a share, at least 0 and below 1; got '
                f'{val_classes}'
            )
        if split == 'val' and not val_classes:
            raise ValueError(
                "FineGrainedDataset split='val' needs val_classes, the share of the training "
                'classes to hold out: --cfg-options val_classes=0.2 sets it for all data sets'
            )
        if gallery is not None and (protocol, split) != ('closed', 'test'):
            raise ValueError(
                f"FineGrainedDataset gallery={gallery!r} needs protocol='closed' and split='test', "
                f'got {protocol!r} and {split!r}; leave it out'
            )
        self.reader = reader
        self.protocol = protocol
        self.split = split
        self.val_classes = val_classes
        self.gallery = gallery
        self.boxes = boxes
        # Shared memory, so that workers kept alive between epochs see the epoch as well.
        self._seed = torch.full((2,), -1, dtype=torch.int64).share_memory_()
        kwargs = {'ann_file': '', 'test_mode': split != 'train', **kwargs}
        super().__init__(data_root=data_root, **kwargs)
        if cache is not None:
            self._keep_images(cache)

    def load_data_list(self) -> list[dict]:
        """Read, select, and number the classes that are left from 0."""
        reading = BENCHMARKS[self.reader].read(self.data_root)
        chosen = select_side(reading, self.protocol, self.split, self.val_classes, self.gallery)
        labels = sorted({record.label for record in chosen})
        if len(labels) < 2:
            raise ValueError(
                f'{self.data_root}: the {self.split} side of the {self.protocol}-set protocol has '
                f'{len(labels)} class(es), of {len(reading.classes)} in all; retrieval needs at '
                'least two'
            )
        self._refuse_repeats(reading, chosen)
        self._warn(reading)
        self._metainfo['classes'] = tuple(reading.classes[label] for label in labels)
        if names := reading.super_classes:
            self._metainfo['super_classes'] = tuple(names[label] for label in labels)
        if any(record.is_query is not None for record in chosen):
            self._metainfo['num_queries'] = sum(record.is_query is True for record in chosen)
        if self.boxes != 'annotation':
            paths = list(dict.fromkeys(record.path for record in chosen))
            box_of = load_box_file(self.boxes, self.data_root, paths)
            chosen = [record._replace(box=box_of[record.path]) for record in chosen]
        index = {label: i for i, label in enumerate(labels)}
        return [
            dict(
                img_path=record.path,
                gt_label=index[record.label],
                box=None if record.box is None else np.asarray(record.box, dtype=np.float32),
            )
            for record in chosen
        ]

    def _keep_images(self, cache: dict) -> None:
        steps = self.pipeline.transforms
        if not steps:  # boxes and pictures read the list alone
            return
        if not isinstance(steps[0], LoadImage):
            raise ValueError(
                'FineGrainedDataset cache needs LoadImage as the first step of the pipeline, got '
                f'{type(steps[0]).__name__}'
            )
        if set(cache) != {'folder', 'scale'}:
            raise ValueError(
                f'FineGrainedDataset cache takes folder and scale, got {sorted(cache)}; scale is '
                'a shorter edge or (width, height)'
            )
        kept = ImageCache(**cache, load=steps[0])
        kept.check_space(len(self))
        there = f'{len(kept):,} images are decoded there already'
        print_log(f'{self.split}: decoded images in {kept.folder}, {there}', logger='current')
        steps[0] = kept

    def _refuse_repeats(self, reading: Reading, chosen: list[Record]) -> None:
        """An image that is evaluated twice, or was trained on, finds itself."""
        if self.split == 'train':
            train, evaluated = chosen, select_side(reading, self.protocol, 'test')
        else:
            share = self.val_classes if self.split == 'val' else 0.0
            train = select_side(reading, self.protocol, 'train', share)
            # Where the training images are the gallery, they are evaluated themselves.
            train, evaluated = [] if self.gallery else train, chosen
        if repeats := find_repeats(train, evaluated):
            raise ValueError(
                f'{self.data_root} lists {len(repeats):,} images twice on the evaluated side of '
                f'the {self.protocol}-set protocol, or on both sides, which inflates Recall: '
                f'{", ".join(repeats[:3])}. List each of them once there; only a training image '
                'may be listed once for each of its objects'
            )

    def _warn(self, reading: Reading) -> None:
        benchmark = BENCHMARKS[self.reader]
        warnings = [f'{self.data_root}: {remark}' for remark in reading.remarks]
        if differences := find_differences(benchmark.published, reading, self.protocol):
            warnings.append(
                f'{self.data_root} is not the {benchmark.title} of the papers: '
                f'{"; ".join(differences)}. Figures on it do not compare with published ones. '
                f'Is the archive complete? ({benchmark.published.source})'
            )
        for warning in warnings:
            print_log(warning, logger='current', level=logging.WARNING)

    def set_epoch(self, epoch: int, seed: int) -> None:
        """From now on draw each image's augmentation from (seed, epoch, index) alone.

        So a resumed run sees what an uninterrupted one does, for any number of workers.
        """
        self._seed[0] = seed
        self._seed[1] = epoch

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on image ``idx``."""
        seed, epoch = self._seed.tolist()
        if epoch < 0:
            return super().prepare_data(idx)
        # mmpretrain's and mmcv's transforms draw from these three global generators.
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        draw = int(np.random.SeedSequence((seed, epoch, idx)).generate_state(1)[0])
        random.seed(draw)
        np.random.seed(draw)  # noqa: NPY002
        torch.default_generator.manual_seed(draw)  # torch.manual_seed would reseed GPUs too
        try:
            return super().prepare_data(idx)
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])

    def extra_repr(self) -> list[str]:
        """Lines for ``repr``."""
        side = f'{self.split} of the {self.protocol}-set protocol, reader {self.reader}'
        for option in ('val_classes', 'gallery'):
            if value := getattr(self, option):
                side += f', {option}={value!r}'
        return [f'Root: \t{self.data_root}', f'Side: \t{side}']
