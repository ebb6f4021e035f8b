import importlib.util
import json
from unittest import mock

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from metric_runs import (
    ALL,
    KEYS,
    TOPK,
    evaluate,
    make_set,
    percent,
    query_and_gallery,
)
from mmpretrain.registry import EVALUATORS

from dva_mm.evaluation import RetrievalMetric, calculator
from dva_mm.evaluation import retrieval_metric as module

NEEDS_FAISS = pytest.mark.skipif(
    importlib.util.find_spec('faiss') is None, reason='faiss is not installed'
)


def test_every_figure_is_that_of_the_double_loop():
    rng = np.random.default_rng(1)
    embeddings, labels = make_set(size=30)[0], rng.integers(12, size=30).tolist()
    got = evaluate(embeddings, labels, metrics=ALL)
    assert list(got) == [f'retrieval/{key}' for key in KEYS.values()]
    # PML holds reciprocal ranks in float32.
    assert got == pytest.approx(percent((embeddings, labels)), abs=1e-5)


def test_queries_are_compared_with_the_gallery_alone():
    embeddings, labels = query_and_gallery()
    meta = {'num_queries': 25, 'classes': [f'shirt {i}' for i in range(10)]}
    with mock.patch.object(module, 'print_log') as log:
        got = evaluate(embeddings, labels, metrics=ALL, meta=meta)
    want = percent((embeddings[:25], labels[:25], embeddings[25:], labels[25:]))
    assert got == pytest.approx(want, abs=1e-5)
    assert got != pytest.approx(percent((embeddings, labels)), abs=1)
    lone = sum(label in (6, 7) for label in labels[:25])
    log.assert_called_once()
    assert log.call_args.args[0] == (
        f'2 of 8 classes have no image in the gallery; their {lone} of 25 images are left out of '
        'the means as queries: shirt 6 (6), shirt 7 (7)'
    )


def test_a_gallery_of_single_images_answers_its_queries():
    # Leave-one-out could not: each class has one gallery image.
    embeddings = torch.eye(4)[[0, 1, 2, 0, 1, 3]]
    labels = [0, 1, 2, 0, 1, 2]
    got = evaluate(embeddings, labels, 1, metrics=ALL, meta={'num_queries': 3})
    assert got['retrieval/MAP@R'] == got['retrieval/R-precision'] == pytest.approx(200 / 3)


@NEEDS_FAISS
@pytest.mark.parametrize('meta', [None, {'num_queries': 40}])
def test_clusters_are_those_of_the_queries(meta):
    embeddings, labels = make_set(60, 4)
    embeddings += 2 * torch.eye(6)[labels]
    got = evaluate(embeddings, labels, metrics=('AMI', 'NMI'), meta=meta)
    assert list(got) == ['retrieval/NMI', 'retrieval/AMI']
    size = 40 if meta else 60
    want = calculator.RetrievalCalculator(include=('NMI', 'AMI')).get_accuracy(
        embeddings[:size], torch.tensor(labels[:size])
    )
    assert list(got.values()) == pytest.approx([100 * want['NMI'], 100 * want['AMI']])
    assert 10 < got['retrieval/AMI'] < got['retrieval/NMI'] < 100


@NEEDS_FAISS
@pytest.mark.parametrize('num_queries', [None, 25])
def test_file_of_figures_for_each_class(tmp_path, num_queries):
    path = tmp_path / 'new' / 'classes.json'
    embeddings, labels = query_and_gallery()
    labels = [7 if i == 3 else 0 if label == 7 else label for i, label in enumerate(labels)]
    meta = {'classes': [f'Möwe {i}' for i in range(10)], 'num_queries': num_queries}
    for columns in (slice(3), slice(6)):  # the second evaluation takes the place of the first
        evaluate(
            embeddings[:, columns],
            labels,
            meta=meta,
            metrics=(*ALL, 'NMI'),
            per_class_file=path,
        )
    data = embeddings[:num_queries], labels[:num_queries]
    if num_queries:
        data += embeddings[num_queries:], labels[num_queries:]
    want = twin.figures(*data[:2], TOPK, *data[2:])
    assert sorted(want) == [0, 1, 2, 3, 4, 5, *(() if num_queries else (8, 9))]

    table = json.loads(path.read_text(encoding='utf-8'))
    assert list(table) == meta['classes']
    for label, row in enumerate(table.values()):
        assert list(row) == ['images', *KEYS.values()]
        assert row['images'] == labels.count(label)
        for name, key in KEYS.items():
            value = 100 * twin.mean(want[label], name) if label in want else None
            assert row[key] == pytest.approx(value, abs=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ['classes.json']


def test_a_config_with_metrics_builds_as_one_evaluator_of_a_runner():
    config = dict(type='RetrievalMetric', topk=(1, 3), metrics=('recall', 'r_precision'))
    evaluator = EVALUATORS.build(config)  # as Runner does for a dict that has the key 'metrics'
    [metric] = evaluator.metrics
    assert isinstance(metric, RetrievalMetric)
    assert (metric.topk, metric.metrics) == ((1, 3), ('recall', 'r_precision'))


@pytest.mark.parametrize(
    ('classes', 'want'),
    [
        (None, ['0', '1', '5']),
        (['a', 'b'], ['a', 'b', '5']),
        (['a', 'a'], ['a (0)', 'a (1)', '5']),
    ],
)
def test_classes_in_the_file_keep_apart(tmp_path, classes, want):
    path = tmp_path / 'classes.json'
    embeddings, _ = make_set(size=6)
    meta = {'classes': classes} if classes else None
    evaluate(embeddings, [0, 0, 1, 1, 5, 5], 1, meta=meta, per_class_file=str(path))
    assert list(json.loads(path.read_text())) == want
