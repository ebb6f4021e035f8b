"""Retrieval metric for MMEngine's evaluator."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from torch import Tensor

from .calculator import RetrievalCalculator, check_ks


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """Recall@K in percent, each test image being a query against all the others.

    The neighbours are exact, by cosine in fp32; see :class:`RetrievalCalculator` for the formula.
    A query whose class has no other image cannot be answered: it stays in the gallery but is left
    out of the recall, and a warning counts such images.

    Each data sample needs ``embedding``, (C,), and one ``gt_label``. The result has one key per
    cut-off, e.g. ``retrieval/Recall@1``, with values in 0..100.

    Args:
        topk: The cut-offs K. Default (1, 2, 4, 8).
        prefix: Replaces 'retrieval' in the keys. Default None.
        collect_device: 'cpu' or 'gpu', how the ranks exchange their results. Default 'cpu'.

    Raises:
        ValueError: If a cut-off is not a positive integer; while processing, if a data sample
            lacks its embedding or label; on evaluation, if an embedding is not finite or all
            zero, if there is only one class or no class with two images, or if a cut-off exceeds
            the number of other images.
    """

    default_prefix = 'retrieval'

    def __init__(
        self,
        topk: int | Sequence[int] = (1, 2, 4, 8),
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = check_ks(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the embedding, label and path of each image.

        Args:
            data_batch: Not used.
            data_samples: One dict per image, as the evaluator makes it from a ``DataSample``.
        """
        # One entry per image: the ranks' entries are interleaved and cut to the dataset's size.
        for sample in data_samples:
            embedding = _tensor(sample, 'embedding')
            label = _tensor(sample, 'gt_label')
            if embedding.ndim != 1:
                raise ValueError(
                    f'embedding of {_name(sample)} must be a vector (C,), '
                    f'got shape {tuple(embedding.shape)}'
                )
            if label.numel() != 1:
                raise ValueError(
                    f'gt_label of {_name(sample)} must hold one class, got {label.tolist()}'
                )
            # copy: a row of the batch's tensor would keep, and pickle, the whole batch.
            embedding = embedding.detach().to('cpu', torch.float32, copy=True)
            path = sample.get('img_path')
            self.results.append(dict(embedding=embedding, gt_label=label.item(), img_path=path))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute Recall@K in percent from the entries of the whole dataset.

        Args:
            results: The entries made by :meth:`process`, one per image.
        """
        if not results:
            raise ValueError('no image was evaluated: check the test dataset and its dataloader')
        embeddings = torch.stack([entry['embedding'] for entry in results])  # (N, C)
        self._check_embeddings(embeddings, results)

        labels = torch.tensor([entry['gt_label'] for entry in results])  # (N,)
        classes, labels, counts = labels.unique(return_inverse=True, return_counts=True)
        self._check_classes(classes, counts)

        # The labels are now 0..classes-1, hence safe from the calculator's float32.
        recalls = RetrievalCalculator(self.topk).get_accuracy(embeddings, labels)
        return {f'Recall@{k}': 100 * recalls[f'recall_at_{k}'] for k in self.topk}

    def _check_embeddings(self, embeddings: Tensor, results: list[dict]) -> None:
        bad = ~embeddings.isfinite().all(dim=1) | (embeddings == 0).all(dim=1)
        if bad.any():
            rows = bad.nonzero().flatten()
            raise ValueError(
                f'{len(rows)} of {len(results)} embeddings hold NaN or infinity or are all zero, '
                f'the first is that of {_name(results[rows[0]])}: '
                'check the weights, the learning rate and the precision'
            )

    def _check_classes(self, classes: Tensor, counts: Tensor) -> None:
        if len(classes) == 1:
            raise ValueError(
                f'all {counts.sum()} images are of class {self._class_name(classes[0])}: every '
                'recall would be 100, evaluate on at least two classes'
            )
        lone = classes[counts == 1]
        if len(lone) == len(classes):
            raise ValueError(
                f'each of the {len(classes)} classes has a single image: no query has a right '
                'answer, evaluate on classes with at least two images'
            )
        if len(lone):
            names = ', '.join(self._class_name(label) for label in lone[:5])
            print_log(
                f'{len(lone)} of {len(classes)} classes have a single image; these images are '
                f'left out of the recall as queries: {names}{", ..." if len(lone) > 5 else ""}',
                logger='current',
                level=logging.WARNING,
            )

    def _class_name(self, label: Tensor) -> str:
        names = (self.dataset_meta or {}).get('classes') or ()
        return f'{names[label]} ({label})' if 0 <= label < len(names) else str(label.item())


def _tensor(sample: dict, key: str) -> Tensor:
    if not isinstance(sample.get(key), Tensor):
        raise ValueError(
            f'the data sample of {_name(sample)} has no tensor {key!r} (it has '
            f'{sorted(sample)}): RetrievalMetric needs labelled test images and a model whose '
            'predict mode sets the embedding'
        )
    return sample[key]


def _name(sample: dict) -> str:
    return repr(sample.get('img_path') or 'an image of unknown path')
