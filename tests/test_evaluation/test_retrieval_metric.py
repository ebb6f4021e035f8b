from unittest import mock

import pytest
import torch
from metric_runs import ALL, evaluate, make_samples, make_set, naive_recalls
from mmpretrain.registry import METRICS

from dva_mm.evaluation import RetrievalMetric, entries


def test_percentages_are_those_of_the_double_loop():
    embeddings, labels = make_set()
    got = evaluate(embeddings, labels)
    assert list(got) == [f'retrieval/Recall@{k}' for k in (1, 2, 4, 8)]
    want = naive_recalls(embeddings, labels)
    assert list(got.values()) == pytest.approx(want, abs=1e-9)
    assert 0 < want[0] < want[3] < 100


def test_registered_and_prefix():
    cfg = {'type': 'RetrievalMetric', 'topk': 1, 'prefix': 'unseen', 'collect_device': 'gpu'}
    metric = METRICS.build(cfg)
    assert isinstance(metric, RetrievalMetric)
    assert (metric.prefix, metric.topk, metric.collect_device) == ('unseen', (1,), 'gpu')


def test_one_owned_float32_entry_per_image():
    metric = RetrievalMetric()
    batch = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    half = torch.randn(3, 6)
    for rows in (batch, half):
        metric.process(None, [s.to_dict() for s in make_samples(rows, [0] * len(rows))])
    assert len(metric.results) == 7
    for entry, row in zip(metric.results, [*batch, *half], strict=True):
        embedding = entry['embedding']
        assert (embedding.dtype, embedding.device.type) == (torch.float32, 'cpu')
        assert not embedding.requires_grad
        assert embedding.untyped_storage().nbytes() == 6 * 4  # not the batch's
        assert torch.equal(embedding, row.detach().float())


@pytest.mark.parametrize('indexed', [True, False])
def test_padding_of_the_last_rank_is_cut(indexed):
    # Two ranks, 11 images: rank 0 sees 0, 2, .., 10, rank 1 sees 1, 3, .., 9 and image 0 again.
    embeddings, labels = make_set(size=11, classes=4)
    options = dict(topk=(1, 2), indexed=indexed)
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
    options = dict(meta=meta, metrics=ALL)
    with mock.patch.object(entries, 'print_log') as log:
        got = evaluate(embeddings, labels, order=order, **options)
    assert got == evaluate(embeddings, labels, **options)
    assert 0 < got['retrieval/MAP@R'] < 100
    log.assert_not_called()


def test_metrics_of_one_name_and_search_no_further_than_asked():
    embeddings, labels = make_set(size=6, classes=2)
    assert list(evaluate(embeddings, labels, metrics='precision_at_1')) == ['retrieval/Precision@1']
    asked = []
    metric = RetrievalMetric((1, 4), ('recall', 'r_precision'))
    search = metric.calculator.knn_func
    metric.calculator.knn_func = lambda *a: asked.append(a[1]) or search(*a)
    embeddings, labels = make_set(size=30, classes=4)
    metric.process(None, [s.to_dict() for s in make_samples(embeddings, labels)])
    metric.evaluate(30)
    assert asked == [7]  # eight images in the largest class


def test_metric_starts_empty_after_evaluate():
    metric = RetrievalMetric(topk=1)
    values = []
    for seed in (0, 1):
        embeddings, labels = make_set(seed=seed)
        metric.process(None, [s.to_dict() for s in make_samples(embeddings, labels)])
        values.append(metric.evaluate(len(labels))['retrieval/Recall@1'])
        assert values[-1] == pytest.approx(naive_recalls(embeddings, labels)[0])
    assert values[0] != values[1]


def test_length_of_embeddings_does_not_matter():
    embeddings, labels = make_set()
    scale = torch.logspace(-3, 3, len(labels))[:, None]
    assert evaluate(embeddings * scale, labels) == evaluate(embeddings, labels)


def test_large_neighbouring_labels_stay_apart():
    # 2**24 and 2**24 + 1 are one number in float32.
    embeddings = torch.eye(3)[[0, 0, 1, 1, 2, 2]] + 0.1 * torch.eye(6)[:, :3]
    labels = [2**24, 2**24 + 1, 2**24, 2**24 + 1, 5, 5]
    got = evaluate(embeddings, labels, topk=1)
    assert got['retrieval/Recall@1'] == pytest.approx(100 / 3)


def test_one_unusable_value_is_enough():
    embeddings, labels = make_set()
    embeddings[7, 2] = float('nan')
    with pytest.raises(ValueError, match='1 of 24 embeddings'):
        evaluate(embeddings, labels)
