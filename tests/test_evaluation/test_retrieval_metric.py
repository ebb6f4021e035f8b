"""RetrievalMetric under MMEngine: its figures, its entries, and its file of classes."""

import json
from unittest import mock

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from metric_runs import ALL, KEYS, NEEDS_FAISS, TOPK, evaluate, make_samples, make_set, percent
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import METRICS

from dva_mm.evaluation import RetrievalMetric, calculator, entries
from dva_mm.evaluation import retrieval_metric as module


def query_and_gallery():
    """25 queries of classes 0..7 and 40 gallery images of classes 0..5 and 8, 9."""
    rng = np.random.default_rng(3)
    embeddings = torch.from_numpy(rng.normal(size=(65, 6)).astype(np.float32))
    labels = [*rng.integers(8, size=25), *rng.choice([0, 1, 2, 3, 4, 5, 8, 9], size=40)]
    return embeddings, [int(label) for label in labels]


def test_every_figure_is_that_of_the_double_loop():
    rng = np.random.default_rng(1)
    embeddings, labels = make_set(size=30)[0], rng.integers(12, size=30).tolist()
    got = evaluate(embeddings, labels, include=ALL)
    assert list(got) == [f'retrieval/{key}' for key in KEYS.values()]
    assert got == pytest.approx(percent((embeddings, labels)), abs=1e-9)
    assert list(evaluate(embeddings, labels)) == [f'retrieval/Recall@{k}' for k in TOPK]
    assert list(evaluate(embeddings, labels, include='r_precision')) == ['retrieval/R-precision']


def test_queries_are_compared_with_the_gallery_alone():
    embeddings, labels = query_and_gallery()
    meta = {'num_queries': 25, 'classes': [f'shirt {i}' for i in range(10)]}
    with mock.patch.object(module, 'print_log') as log:
        got = evaluate(embeddings, labels, include=ALL, meta=meta)
    want = percent((embeddings[:25], labels[:25], embeddings[25:], labels[25:]))
    assert got == pytest.approx(want, abs=1e-9)
    assert got != pytest.approx(percent((embeddings, labels)), abs=1)
    log.assert_called_once()  # of the queries that no gallery image can answer
    assert all(name in log.call_args.args[0] for name in ('2 of 8', 'shirt 6 (6), shirt 7 (7)'))


def test_a_gallery_of_single_images_answers_its_queries():
    # Leave-one-out could not: each class has one gallery image.
    embeddings = torch.eye(4)[[0, 1, 2, 0, 1, 3]]
    labels = [0, 1, 2, 0, 1, 2]
    got = evaluate(embeddings, labels, 1, include=ALL, meta={'num_queries': 3})
    assert got['retrieval/MAP@R'] == got['retrieval/R-precision'] == pytest.approx(200 / 3)


@NEEDS_FAISS
@pytest.mark.parametrize('meta', [None, {'num_queries': 40}])
def test_clusters_are_those_of_the_queries(meta):
    embeddings, labels = make_set(60, 4)
    embeddings += 2 * torch.eye(6)[labels]
    got = evaluate(embeddings, labels, include=('AMI', 'NMI'), meta=meta)
    assert list(got) == ['retrieval/NMI', 'retrieval/AMI']
    size = 40 if meta else 60
    want = calculator.RetrievalCalculator(include=('NMI', 'AMI')).get_accuracy(
        embeddings[:size], torch.tensor(labels[:size])
    )
    assert list(got.values()) == pytest.approx([100 * want['NMI'], 100 * want['AMI']])
    assert 10 < got['retrieval/AMI'] < got['retrieval/NMI'] < 100


def test_padding_of_the_last_rank_is_cut_without_an_index():
    # Two ranks, 11 images: rank 0 sees 0, 2, .., 10, rank 1 sees 1, 3, .., 9 and image 0 again.
    embeddings, labels = make_set(size=11, classes=4)
    options = dict(topk=(1, 2), indexed=False)
    padded = evaluate(embeddings, labels, order=[*range(11), 0], **options)
    assert padded == evaluate(embeddings, labels, **options)
    # The duplicate would have been an answer: image 0 is a miss at K = 1 without it.
    duplicated = evaluate(torch.cat([embeddings, embeddings[:1]]), [*labels, 0], topk=(1, 2))
    assert duplicated['retrieval/Recall@1'] > padded['retrieval/Recall@1']


ORDERS = [
    [*range(0, 24, 2), *range(1, 24, 2)],
    [0, 0, 1, 1, *range(24)],  # what a cut to the size of the data set would lose
    [23, 22, 23, *range(22), 5, 6, 7],
    # Four ranks with a run of images each, interleaved: the padding does not come last.
    [i for row in range(7) for i in (row, 7 + row, 14 + row, (21 + row) % 24)],
]


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('meta', [None, {'num_queries': 10}])
def test_figures_do_not_depend_on_order_and_padding(order, meta):
    embeddings, labels = make_set(classes=5)
    options = dict(meta=meta, include=ALL)
    with mock.patch.object(entries, 'print_log') as log, mock.patch.object(module, 'print_log'):
        got = evaluate(embeddings, labels, order=order, **options)
    assert got == evaluate(embeddings, labels, **options)
    assert 0 < got['retrieval/MAP@R'] < 100
    log.assert_not_called()


def test_one_owned_entry_per_image_of_float32_or_more():
    metric = RetrievalMetric()
    double = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    half = torch.randn(3, 6).half()
    for rows in (double, half):
        metric.process(None, [s.to_dict() for s in make_samples(rows, [0] * len(rows))])
    assert len(metric.results) == 7
    for entry, row in zip(metric.results, [*double, *half], strict=True):
        embedding = entry['embedding']
        want = torch.float64 if row.dtype == torch.float64 else torch.float32
        assert (embedding.dtype, embedding.device.type) == (want, 'cpu')
        assert not embedding.requires_grad
        assert embedding.untyped_storage().nbytes() == 6 * want.itemsize  # not the batch's
        assert torch.equal(embedding, row.detach().to(want))


def test_it_builds_from_a_config_as_metric_and_as_evaluator_of_a_runner():
    config = dict(type='RetrievalMetric', topk=(1, 3), include=('recall', 'r_precision'))
    config |= dict(prefix='unseen', collect_device='gpu')
    assert isinstance(METRICS.build(config), RetrievalMetric)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        [metric] = Runner.build_evaluator(None, config).metrics
    assert isinstance(metric, RetrievalMetric)
    assert (metric.prefix, metric.collect_device) == ('unseen', 'gpu')
    assert list(metric.calculator.keys.values()) == ['Recall@1', 'Recall@3', 'R-precision']


@NEEDS_FAISS
@pytest.mark.parametrize('num_queries', [None, 25])
def test_file_of_figures_for_each_class(tmp_path, num_queries):
    path = tmp_path / 'new' / 'classes.json'
    embeddings, labels = query_and_gallery()
    labels = [7 if i == 3 else 0 if label == 7 else label for i, label in enumerate(labels)]
    options = dict(
        meta={'classes': [f'Möwe {i}' for i in range(10)], 'num_queries': num_queries},
        include=(*ALL, 'NMI'),
        per_class_file=path,
    )
    for columns in (slice(3), slice(6)):  # the second evaluation takes the place of the first
        evaluate(embeddings[:, columns], labels, **options)
    data = embeddings[:num_queries], labels[:num_queries]
    if num_queries:
        data += embeddings[num_queries:], labels[num_queries:]
    want = twin.figures(*data[:2], TOPK, *data[2:])
    assert sorted(want) == [0, 1, 2, 3, 4, 5, *(() if num_queries else (8, 9))]

    table = json.loads(path.read_text(encoding='utf-8'))
    assert list(table) == options['meta']['classes']
    for label, row in enumerate(table.values()):
        assert list(row) == ['images', *KEYS.values()]
        assert row['images'] == labels.count(label)
        for name, key in KEYS.items():
            value = 100 * twin.mean(want[label], name) if label in want else None
            assert row[key] == pytest.approx(value, abs=1e-9)
    assert [file.name for file in path.parent.iterdir()] == ['classes.json']


@pytest.mark.parametrize(
    ('classes', 'want'),
    [
        (None, ['0', '1', '5']),
        (['a', 'b (c)'], ['a', 'b (c)', '5']),
        (['a', 'a'], ['a (0)', 'a (1)', '5']),
    ],
)
def test_classes_in_the_file_keep_apart(tmp_path, classes, want):
    path = tmp_path / 'classes.json'
    embeddings, _ = make_set(size=6)
    meta = {'classes': classes} if classes else None
    evaluate(embeddings, [0, 0, 1, 1, 5, 5], 1, meta=meta, per_class_file=str(path))
    assert list(json.loads(path.read_text())) == want


def test_a_file_that_becomes_unwritable_does_not_cost_the_figures(tmp_path):
    folder = tmp_path / 'figures'
    folder.mkdir()
    metric = RetrievalMetric(per_class_file=folder / 'classes.json')
    folder.rmdir()
    folder.write_text('in the way')
    embeddings, labels = make_set()
    metric.process(None, [s.to_dict() for s in make_samples(embeddings, labels)])
    with mock.patch.object(module, 'print_log') as log:
        got = metric.evaluate(len(labels))
    assert got == evaluate(embeddings, labels)
    log.assert_called_once()
    assert 'classes.json' in log.call_args.args[0]
    assert folder.read_text() == 'in the way'
