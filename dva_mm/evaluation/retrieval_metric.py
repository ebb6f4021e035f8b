"""Retrieval metric for MMEngine's evaluator."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from torch import Tensor

from dva_mm.files import check_writable, replace_atomically

from .calculator import CLUSTERING, RetrievalCalculator
from .entries import check_embeddings, order_entries, path_of
from .rerank import RerankedKNN


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """Retrieval figures in percent, exact, by cosine in fp32.

    Each test image is a query against all the others. With ``num_queries`` in the data set's
    ``metainfo``, the images whose ``sample_idx`` is below it are the queries and the others the
    gallery, as in In-Shop. :mod:`dva_mm.evaluation.metrics` has the formulas. Queries that cannot
    be answered are left out of every mean, with a warning; in the gallery they stay.

    Each data sample needs ``embedding``, (C,), and one ``gt_label``. By ``sample_idx``, which
    ``PackInputs`` keeps, the images are put in order and the padding of the last batch is removed:
    the figures are the same for any number of ranks and any sampler.

    Args:
        topk: The cut-offs K of the recall. Default (1, 2, 4, 8).
        include: 'recall' (Recall@1, ... in the results), 'mean_average_precision_at_r' (MAP@R),
            'r_precision' (R-precision), 'mean_reciprocal_rank' (MRR@8, 8 being the largest cut-off,
            beyond which no answer counts), 'precision_at_1' (Precision@1), 'NMI', 'AMI'. Default
            ('recall',).
        per_class_file: JSON file for ``{class: {'images': count, key: percent}}``, replaced at each
            evaluation; ``images`` counts queries and gallery, the figures of a class without
            answerable queries are null, NMI and AMI are left out. Default None: no file.
        rerank: Rank better than by the cosine: see :class:`~dva_mm.evaluation.rerank.RerankedKNN`.
            Default None.
        device: Where torch searches, by default 'cpu'; faiss uses a GPU that it sees in any case.
        prefix: Replaces 'retrieval' in the keys. Default None.
        collect_device: 'cpu' or 'gpu', how the ranks exchange their results. Default 'cpu'.

    Raises:
        ValueError: If an option is wrong or the file cannot be written; if a data sample lacks its
            embedding, label or, with ``num_queries``, index; on evaluation, if an embedding is not
            finite or all zero, no query can be answered, or a cut-off exceeds the gallery.

    >>> metric = RetrievalMetric(topk=1)
    >>> for vector, label in zip(torch.eye(4)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1])):
    ...     metric.process(None, [dict(embedding=vector, gt_label=label)])
    >>> metric.evaluate(size=4)
    {'retrieval/Recall@1': 100.0}
    """

    default_prefix = 'retrieval'

    def __init__(
        self,
        topk: int | Sequence[int] = (1, 2, 4, 8),
        include: str | Sequence[str] = ('recall',),
        per_class_file: str | Path | None = None,
        rerank: dict | None = None,
        device: str | torch.device = 'cpu',
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        knn = None if rerank is None else RerankedKNN(rerank)
        self.calculator = RetrievalCalculator(topk, include, knn, device, return_per_class=True)
        self.size: int | None = None
        self.per_class_file = per_class_file
        if per_class_file is not None:
            if Path(per_class_file).suffix != '.json' or self.calculator.keys.keys() <= CLUSTERING:
                raise ValueError(
                    f'per_class_file={str(per_class_file)!r} must end in .json, and include name a '
                    f"figure that classes have, such as 'recall'; got include={include!r}"
                )
            self.per_class_file = check_writable(per_class_file, 'per_class_file')

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the embedding, label, index and path of each image, an entry for each."""
        indexed = self._num_queries() is not None
        for sample in data_samples:
            embedding, label = sample.get('embedding'), sample.get('gt_label')
            wrong = not isinstance(embedding, Tensor) or not isinstance(label, Tensor)
            if wrong or embedding.ndim != 1 or label.numel() != 1:
                held = {key: getattr(value, 'shape', value) for key, value in sample.items()}
                raise ValueError(
                    f'{path_of(sample)} needs a tensor embedding (C,) and one gt_label, but has '
                    f'{held}: test on labelled images, with a model that sets the embedding'
                )
            index = sample.get('sample_idx')
            if indexed and index is None:
                raise ValueError(
                    f'{path_of(sample)} has no sample_idx, which tells queries from gallery: keep '
                    "'sample_idx' among the meta_keys of PackInputs"
                )
            precision = torch.promote_types(embedding.dtype, torch.float32)
            # copy: a row of the batch's tensor would keep, and pickle, the whole batch.
            entry = dict(embedding=embedding.detach().to('cpu', precision, copy=True))
            entry |= dict(gt_label=label.item(), sample_idx=index, img_path=sample.get('img_path'))
            self.results.append(entry)

    def evaluate(self, size: int) -> dict[str, float]:
        """Collect the entries of all ranks and compute the figures of ``size`` images."""
        self.size = size
        # The base class would cut to size, which is right only for padding that comes last.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the figures from the entries of :meth:`process`, in any order if indexed."""
        if not results:
            raise ValueError('no image was evaluated: check the test dataset and its dataloader')
        num_queries = self._num_queries()
        entries = order_entries(results, self.size, unique=num_queries is not None)
        embeddings = torch.stack([entry['embedding'] for entry in entries])  # (N, C)
        check_embeddings(embeddings, entries)
        labels = torch.tensor([entry['gt_label'] for entry in entries])  # (N,)
        classes, numbers, images = labels.unique(return_inverse=True, return_counts=True)
        if num_queries is None:
            end, queries, answers, gallery = len(entries), images, images - 1, ()
        else:
            end = sum(entry['sample_idx'] < num_queries for entry in entries)
            queries = numbers[:end].bincount(minlength=len(classes))  # (classes,), as answers
            answers, gallery = images - queries, (embeddings[end:], labels[end:])
            if end in (0, len(entries)):
                raise ValueError(
                    f'num_queries = {num_queries} makes {end} of {len(entries)} images queries: '
                    'there must be queries and a gallery'
                )
        self._check_classes(classes, queries, answers)
        values = self.calculator.get_accuracy(embeddings[:end], labels[:end], *gallery)
        answered = (queries > 0) & (answers > 0)
        shares = queries[answered] / queries[answered].double().sum()
        by_class = {
            key: 100 * torch.tensor(values[name], dtype=torch.float64)  # (answered classes,)
            for name, key in self.calculator.keys.items()
            if name not in CLUSTERING
        }
        if self.per_class_file is not None:
            self._write(classes, images, answered, by_class)
        overall = {key: (figures @ shares).item() for key, figures in by_class.items()}
        return overall | {n: 100 * values[n] for n in self.calculator.keys if n in CLUSTERING}

    def _num_queries(self) -> int | None:
        number = (self.dataset_meta or {}).get('num_queries')
        if number is not None and (type(number) is not int or number < 1):
            raise ValueError(
                f"num_queries in the data set's metainfo must be a positive integer, got {number!r}"
            )
        return number

    def _check_classes(self, classes: Tensor, queries: Tensor, answers: Tensor) -> None:
        names = self._names(classes)
        if len(classes) == 1:
            raise ValueError(
                f'all {queries.sum()} queries and their gallery are of class {names[0]}: evaluate '
                'on at least two classes'
            )
        asked = queries > 0
        lone = asked & (answers < 1)
        why = 'have no image in the gallery' if self._num_queries() else 'have a single image'
        if lone.sum() == asked.sum():
            raise ValueError(f'all {asked.sum()} classes {why}: no query has a right answer')
        if lone.any():
            some = ', '.join(names[i] for i in lone.nonzero().flatten()[:5])
            print_log(
                f'{lone.sum()} of {asked.sum()} classes {why}; their {queries[lone].sum()} of '
                f'{queries.sum()} images are left out of the means as queries: '
                f'{some}{", ..." if lone.sum() > 5 else ""}',
                logger='current',
                level=logging.WARNING,
            )

    def _names(self, labels: Tensor) -> list[str]:
        known = (self.dataset_meta or {}).get('classes') or ()
        return [
            f'{known[label]} ({label})' if 0 <= label < len(known) else str(label)
            for label in labels.tolist()
        ]

    def _write(
        self, classes: Tensor, images: Tensor, answered: Tensor, figures: dict[str, Tensor]
    ) -> None:
        """Write ``per_class_file``; where that fails, say so and go on: the figures matter more."""
        names = self._names(classes)
        plain = [name.rpartition(' (')[0] or name for name in names]
        names = plain if len(set(plain)) == len(plain) else names
        rows = answered.cumsum(0) - 1  # of the figures
        table = {
            name: {'images': int(images[i])}
            | {key: f[rows[i]].item() if answered[i] else None for key, f in figures.items()}
            for i, name in enumerate(names)
        }
        try:
            with replace_atomically(self.per_class_file) as partial:
                text = json.dumps(table, indent=1, ensure_ascii=False)
                partial.write_text(text + '\n', encoding='utf-8')
        except OSError as error:
            message = f'per_class_file {self.per_class_file} could not be written: {error}'
            print_log(message, logger='current', level=logging.ERROR)
