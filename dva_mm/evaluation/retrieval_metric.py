"""Retrieval metric for MMEngine's evaluator."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import print_log
from mmpretrain.registry import EVALUATORS, METRICS
from torch import Tensor

from .calculator import CLUSTERING, RetrievalCalculator, check_ks, check_metrics
from .entries import check_embeddings, order_entries, path_of, tensor_of
from .per_class import check_file, write_per_class


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """Retrieval figures in percent, exact, by cosine in fp32.

    Each test image is a query against all the others. With ``num_queries`` in the data set's
    ``metainfo``, the images whose ``sample_idx`` is below it are the queries and the others the
    gallery, as in In-Shop. :class:`RetrievalCalculator` has the formulas. A query whose class has
    no (other) image in the gallery cannot be answered: it is left out of every mean, and a warning
    counts such images; as one of the gallery it stays. NMI and AMI cluster the queries, all of
    them.

    Each data sample needs ``embedding``, (C,), and one ``gt_label``. By ``sample_idx``, which
    ``PackInputs`` keeps, the images are put in order and the padding of the last batch is removed,
    so that the figures are the same for any number of ranks and any sampler. Without it they are
    taken in the order of MMEngine's samplers.

    The figures, each 0..100, are ``retrieval/`` with

    ===============================  =====================================================
    name in ``metrics``              key
    ===============================  =====================================================
    ``recall``                       ``Recall@1`` and so on, one per cut-off
    ``mean_average_precision_at_r``  ``MAP@R``
    ``r_precision``                  ``R-precision``
    ``mean_reciprocal_rank``         ``MRR@8``, 8 being the largest cut-off: no answer counts
                                     beyond it
    ``precision_at_1``               ``Precision@1``, which is Recall@1
    ``NMI``, ``AMI``                 ``NMI``, ``AMI``: k-means of the queries, with faiss
    ===============================  =====================================================

    Args:
        topk: The cut-offs K of the recall. Default (1, 2, 4, 8).
        metrics: Names out of the table. Default ('recall',).
        per_class_file: JSON file for ``{class: {'images': count, key: percent}}``, written at each
            evaluation in place of the last one. ``images`` counts queries and gallery; the
            figures of a class without answerable queries are null. NMI and AMI have none. Default
            None, which writes nothing.
        device: Where the search runs if torch does it. Default None, which is 'cpu'; faiss uses
            the GPU that it sees in any case.
        prefix: Replaces 'retrieval' in the keys. Default None.
        collect_device: 'cpu' or 'gpu', how the ranks exchange their results. Default 'cpu'.

    Raises:
        ValueError: If a cut-off is not a positive integer, a metric is unknown or needs faiss and
            it is missing, or the device or the file cannot be used; while processing, if a data
            sample lacks its embedding, its label or, with ``num_queries``, its index; on
            evaluation, if an embedding is not finite or all zero, there is only one class or no
            answerable query, or a cut-off exceeds the number of images to retrieve.
    """

    default_prefix = 'retrieval'

    def __init__(
        self,
        topk: int | Sequence[int] = (1, 2, 4, 8),
        metrics: str | Sequence[str] = ('recall',),
        per_class_file: str | Path | None = None,
        device: str | torch.device | None = None,
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = check_ks(topk)
        self.metrics = check_metrics(metrics)
        if per_class_file is not None:
            check_file(per_class_file, self.metrics)
        self.per_class_file = per_class_file
        self.calculator = RetrievalCalculator(
            self.topk, self.metrics, device=device or 'cpu', return_per_class=True
        )
        self.keys = {
            **{f'recall_at_{k}': f'Recall@{k}' for k in self.topk},
            'mean_average_precision_at_r': 'MAP@R',
            'r_precision': 'R-precision',
            'mean_reciprocal_rank': f'MRR@{max(self.topk)}',
            'precision_at_1': 'Precision@1',
            'NMI': 'NMI',
            'AMI': 'AMI',
        }
        self.size: int | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the embedding, label, index and path of each image.

        Args:
            data_batch: Not used.
            data_samples: One dict per image, as the evaluator makes it from a ``DataSample``.
        """
        indexed = self._num_queries() is not None
        # One entry per image: the ranks' entries are interleaved.
        for sample in data_samples:
            embedding = tensor_of(sample, 'embedding')
            label = tensor_of(sample, 'gt_label')
            if embedding.ndim != 1:
                raise ValueError(
                    f'embedding of {path_of(sample)} must be a vector (C,), '
                    f'got shape {tuple(embedding.shape)}'
                )
            if label.numel() != 1:
                raise ValueError(
                    f'gt_label of {path_of(sample)} must hold one class, got {label.tolist()}'
                )
            index = sample.get('sample_idx')
            if indexed and index is None:
                raise ValueError(
                    f'the data sample of {path_of(sample)} has no sample_idx, which tells queries '
                    "from gallery: keep 'sample_idx' among the meta_keys of PackInputs"
                )
            self.results.append(
                dict(
                    # copy: a row of the batch's tensor would keep, and pickle, the whole batch.
                    embedding=embedding.detach().to('cpu', torch.float32, copy=True),
                    gt_label=label.item(),
                    sample_idx=index,
                    img_path=sample.get('img_path'),
                )
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """Collect the entries of all ranks and compute the figures.

        Args:
            size: Number of images in the data set.
        """
        self.size = size
        # The base class would cut the interleaved entries to size, which removes the padding only
        # if it comes last. All entries are taken here and cut by sample_idx.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the figures in percent from the entries of the whole dataset.

        Args:
            results: The entries made by :meth:`process`, in any order if they have an index.
        """
        if not results:
            raise ValueError('no image was evaluated: check the test dataset and its dataloader')
        num_queries = self._num_queries()
        entries = order_entries(results, self.size, unique=num_queries is not None)
        embeddings = torch.stack([entry['embedding'] for entry in entries])  # (N, C)
        check_embeddings(embeddings, entries)
        labels = torch.tensor([entry['gt_label'] for entry in entries])  # (N,)
        # Numbered from 0, the labels are safe from the calculator's float32.
        classes, labels = labels.unique(return_inverse=True)
        images = labels.bincount()  # (classes,), as all that follows
        if num_queries is None:
            end, queries, answers = len(entries), images, images - 1
            gallery = ()
        else:
            end = sum(entry['sample_idx'] < num_queries for entry in entries)
            queries = labels[:end].bincount(minlength=len(classes))
            answers = images - queries
            gallery = embeddings[end:], labels[end:]
            if end in (0, len(entries)):
                raise ValueError(
                    f'num_queries = {num_queries} makes {end} of {len(entries)} images queries: '
                    'there must be queries and a gallery'
                )
        self._check_classes(classes, queries, answers)

        values = self.calculator.get_accuracy(embeddings[:end], labels[:end], *gallery)
        keys = {name: key for name, key in self.keys.items() if name in values}
        answered = (queries > 0) & (answers > 0)
        if self.per_class_file is not None:
            figures = {keys[name]: values[name] for name in keys if name not in CLUSTERING}
            names = self._class_names(classes)
            write_per_class(self.per_class_file, names, images, answered, figures)
        weights = queries[answered]
        return {
            key: 100 * (values[name] if name in CLUSTERING else _weighted(values[name], weights))
            for name, key in keys.items()
        }

    def _num_queries(self) -> int | None:
        number = (self.dataset_meta or {}).get('num_queries')
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(
                f"num_queries in the data set's metainfo must be a positive integer, got {number!r}"
            )
        return number

    def _check_classes(self, classes: Tensor, queries: Tensor, answers: Tensor) -> None:
        if len(classes) == 1:
            raise ValueError(
                f'all {queries.sum()} queries are of class {self._class_name(classes[0])}, as is '
                'the gallery: every recall would be 100, evaluate on at least two classes'
            )
        own_gallery = self._num_queries() is None
        asked = queries > 0
        lone = asked & (answers < 1)
        why = 'have a single image' if own_gallery else 'have no image in the gallery'
        if lone.sum() == asked.sum():
            raise ValueError(
                f'all {asked.sum()} classes {why}: no query has a right answer, evaluate on '
                + ('classes with at least two images' if own_gallery else 'a gallery of theirs')
            )
        if lone.any():
            names = ', '.join(self._class_name(label) for label in classes[lone][:5])
            print_log(
                f'{lone.sum()} of {asked.sum()} classes {why}; their {queries[lone].sum()} of '
                f'{queries.sum()} images are left out of the means as queries: '
                f'{names}{", ..." if lone.sum() > 5 else ""}',
                logger='current',
                level=logging.WARNING,
            )

    def _class_name(self, label: Tensor) -> str:
        names = (self.dataset_meta or {}).get('classes') or ()
        return f'{names[label]} ({label})' if 0 <= label < len(names) else str(label.item())

    def _class_names(self, labels: Tensor) -> list[str]:
        names = [self._class_name(label) for label in labels]
        plain = [
            name.removesuffix(f' ({label})') for name, label in zip(names, labels, strict=True)
        ]
        return plain if len(set(plain)) == len(plain) else names


def _weighted(values: list[float], weights: Tensor) -> float:
    values = torch.tensor(values, dtype=torch.float64)
    return ((values * weights).sum() / weights.sum()).item()


@EVALUATORS.register_module(name='RetrievalMetric')
def build_retrieval_evaluator(**options) -> Evaluator:
    """The evaluator of one RetrievalMetric, from the metric's own options.

    MMEngine takes ``val_evaluator=dict(...)`` with a key ``metrics`` for an evaluator's config, not
    a metric's; so ``dict(type='RetrievalMetric', metrics=...)`` is looked up here.
    """
    return Evaluator(RetrievalMetric(**options))
