"""Runs of RetrievalMetric through MMEngine's evaluator, and its figures from the double loop."""

import importlib.util

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from dva_mm.evaluation import RetrievalMetric

NEEDS_FAISS = pytest.mark.skipif(
    importlib.util.find_spec('faiss') is None, reason='faiss is not installed'
)
both_backends = pytest.mark.parametrize(
    'backend', [pytest.param('faiss', marks=NEEDS_FAISS), 'torch']
)
TOPK = (1, 2, 4, 8)
KEYS = {
    **{f'recall_at_{k}': f'Recall@{k}' for k in TOPK},
    'mean_average_precision_at_r': 'MAP@R',
    'r_precision': 'R-precision',
    'mean_reciprocal_rank': 'MRR@8',
    'precision_at_1': 'Precision@1',
}
ALL = ('recall', *list(KEYS)[4:])


def percent(data):
    """Figures by their keys, from the double loop."""
    by_class = twin.figures(*data[:2], TOPK, *data[2:])
    return {f'retrieval/{key}': 100 * twin.overall(by_class, name) for name, key in KEYS.items()}


def make_set(size=24, classes=8, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = torch.from_numpy(rng.normal(size=(size, 6)).astype(np.float32))
    return embeddings, (np.arange(size) % classes).tolist()


def make_samples(embeddings, labels, indexed=True):
    samples = []
    for i, (embedding, label) in enumerate(zip(embeddings, labels, strict=True)):
        sample = DataSample(metainfo={'img_path': f'images/{i}.jpg'}).set_gt_label(label)
        sample.set_field(embedding, 'embedding')
        if indexed:
            sample.set_field(i, 'sample_idx', field_type='metainfo')
        samples.append(sample)
    return samples


def evaluate(
    embeddings, labels, topk=TOPK, order=None, batch=5, meta=None, indexed=True, **options
):
    """Go through MMEngine's own Evaluator, in the given order of samples."""
    metric = RetrievalMetric(topk, **options)
    evaluator = Evaluator(metric)
    if meta:
        evaluator.dataset_meta = meta
    samples = make_samples(embeddings, labels, indexed)
    seen = [samples[i] for i in (order or range(len(samples)))]
    for start in range(0, len(seen), batch):
        evaluator.process(seen[start : start + batch], data_batch=None)
    assert len(metric.results) == len(seen)
    return evaluator.evaluate(len(samples))
