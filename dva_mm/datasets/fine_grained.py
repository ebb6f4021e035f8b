"""The registered data set: a reader x a protocol."""

import random
from collections import Counter

import numpy as np
import torch
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from .protocols import PROTOCOLS
from .readers import READERS


@DATASETS.register_module()
class FineGrainedDataset(BaseDataset):
    """Images of one side of a retrieval protocol, labelled from 0, with boxes where known.

    Each image gives ``img_path``, ``gt_label`` and ``box`` (float32 xyxy in pixels of the image
    file, or None) to the pipeline.

    Args:
        data_root: Folder of the data set.
        reader: Its format: 'cub', 'folder' or 'demo_birds'. Defaults to 'cub'.
        protocol: 'open' (half of the classes trains, the other half tests) or 'closed' (the
            official images of the same classes). Defaults to 'open'.
        split: 'train' or 'test'. Defaults to 'train'.
        **kwargs: Options of mmpretrain's BaseDataset, ``pipeline`` above all.

    Raises:
        FileNotFoundError: if the data are not there; names folder, source and layout.
        ValueError: if an option is unknown, or fewer than two classes are left.
    """

    def __init__(
        self,
        data_root: str,
        reader: str = 'cub',
        protocol: str = 'open',
        split: str = 'train',
        **kwargs,
    ) -> None:
        for name, value, known in (
            ('reader', reader, READERS),
            ('protocol', protocol, PROTOCOLS),
            ('split', split, ('train', 'test')),
        ):
            if value not in known:
                raise ValueError(
                    f'FineGrainedDataset {name} must be one of {list(known)}, got {value!r}'
                )
        self.reader = reader
        self.protocol = protocol
        self.split = split
        # Shared memory, so that workers kept alive between epochs see the epoch as well.
        self._seed = torch.full((2,), -1, dtype=torch.int64).share_memory_()
        kwargs = {'ann_file': '', 'test_mode': split == 'test', **kwargs}
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read, select, and number the classes that are left from 0."""
        records, names = READERS[self.reader](self.data_root)
        chosen = PROTOCOLS[self.protocol](records, len(names), self.split)
        counts = Counter(record.label for record in chosen)
        if len(counts) < 2:
            raise ValueError(
                f'{self.data_root}: the {self.split} side of the {self.protocol}-set protocol has '
                f'{len(counts)} class(es), of {len(names)} in all; retrieval needs at least two'
            )
        labels = sorted(counts)
        index = {label: i for i, label in enumerate(labels)}
        self._metainfo['classes'] = tuple(names[label] for label in labels)
        return [
            dict(
                img_path=record.path,
                gt_label=index[record.label],
                box=None if record.box is None else np.asarray(record.box, dtype=np.float32),
            )
            for record in chosen
        ]

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
        return [
            f'Root: \t{self.data_root}',
            f'Side: \t{self.split} of the {self.protocol}-set protocol, reader {self.reader}',
        ]
