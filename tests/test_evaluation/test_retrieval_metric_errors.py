"""What RetrievalMetric refuses, and what it warns of."""

import re
from unittest import mock

import pytest
import torch
from metric_runs import evaluate, make_samples, make_set, percent

from dva_mm.evaluation import RetrievalMetric, entries
from dva_mm.evaluation import retrieval_metric as module


@pytest.mark.parametrize('indexed', [True, False])
def test_missing_images_are_warned_of(indexed):
    embeddings, labels = make_set()
    with mock.patch.object(entries, 'print_log') as log:
        evaluate(embeddings, labels, order=[*range(20)], indexed=indexed)
    log.assert_called_once()
    assert '20 of the 24 images' in log.call_args.args[0]


@pytest.mark.parametrize('number', [0, -1, True, '10', 2.0])
def test_wrong_number_of_queries_is_refused_at_the_first_batch(number):
    metric = RetrievalMetric()
    metric.dataset_meta = {'num_queries': number}
    sample = make_samples(*make_set())[0].to_dict()
    with pytest.raises(ValueError, match=f'num_queries .* {number!r}'):
        metric.process(None, [sample])


def test_query_or_gallery_without_index_is_refused_at_once():
    metric = RetrievalMetric()
    metric.dataset_meta = {'num_queries': 3}
    sample = make_samples(*make_set(), indexed=False)[1].to_dict()
    with pytest.raises(ValueError, match=r"'images/1.jpg' .*sample_idx"):
        metric.process(None, [sample])
    metric.dataset_meta = {}
    metric.process(None, [sample])


def test_queries_without_gallery_or_without_any_answer_are_refused():
    embeddings, labels = make_set()
    with pytest.raises(ValueError, match='num_queries = 24 .* 24 of 24'):
        evaluate(embeddings, labels, meta={'num_queries': 24})
    with pytest.raises(ValueError, match='num_queries = 4 .* 0 of 20'):
        evaluate(embeddings, labels, meta={'num_queries': 4}, order=[*range(4, 24)])
    with pytest.raises(ValueError, match='all 2 classes .* gallery'):
        evaluate(embeddings[:8], [0, 0, 1, 1, 2, 2, 3, 3], 1, meta={'num_queries': 4})
    with pytest.raises(ValueError, match='all 24 classes .* single image'):
        evaluate(embeddings, list(range(24)))
    with pytest.raises(ValueError, match=r'all 24 .* b \(1\)'):
        evaluate(embeddings, [1] * 24, meta={'classes': ['a', 'b']})


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 0.0])
def test_unusable_embeddings_are_refused(value):
    embeddings, labels = make_set()
    embeddings[[7, 9]] = value
    with pytest.raises(ValueError, match=r"2 of 24 .* 'images/7.jpg'"):
        evaluate(embeddings, labels)


def test_lone_classes_are_left_out_with_one_warning():
    embeddings, labels = make_set(size=20)
    with mock.patch.object(module, 'print_log') as log:
        evaluate(embeddings, labels)
        log.assert_not_called()
        labels = [0] * 6 + [1] * 7 + list(range(2, 9))
        got = evaluate(embeddings, labels, meta={'classes': [f'bird {i}' for i in range(4)]})
    want = percent((embeddings, labels))
    assert got == pytest.approx({key: want[key] for key in got})
    log.assert_called_once()
    message = log.call_args.args[0]
    assert all(part in message for part in ('7 of 9', '7 of 20', 'bird 2 (2), bird 3 (3), 4, 5, 6'))


def test_no_images_are_refused():
    with pytest.raises(ValueError, match='no image'):
        RetrievalMetric().evaluate(0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'embedding': None}, "'images/3.jpg' needs a tensor embedding"),
        ({'gt_label': None}, "'images/3.jpg' needs .* gt_label"),
        ({'embedding': torch.zeros(1, 6)}, r"'embedding': torch.Size\(\[1, 6\]\)"),
        ({'gt_label': torch.tensor([0, 1])}, r"'gt_label': torch.Size\(\[2\]\)"),
        ({'embedding': None, 'img_path': None}, 'unknown path'),
    ],
)
def test_incomplete_samples_are_refused(change, message):
    sample = make_samples(*make_set())[3].to_dict() | change
    sample = {key: value for key, value in sample.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        RetrievalMetric().process(None, [sample])


@pytest.mark.parametrize(
    ('options', 'value'),
    [
        ({'topk': (1, 'a')}, "(1, 'a')"),
        ({'include': ('recall', 'mAP')}, "('recall', 'mAP')"),
        ({'device': 'gpu:x'}, "'gpu:x'"),
        ({'per_class_file': 'classes.txt'}, 'classes.txt'),
        ({'per_class_file': 'a.json', 'include': ('NMI', 'AMI')}, "('NMI', 'AMI')"),
        ({'per_class_file': f'{__file__}/classes.json'}, 'classes.json'),
        ({'per_class_file': '/proc/classes.json'}, '/proc/classes.json'),
    ],
)
def test_wrong_options_are_refused_before_the_evaluation(options, value):
    with pytest.raises(ValueError, match=re.escape(value)):
        RetrievalMetric(**options)


def test_queries_and_gallery_of_a_concatenated_data_set_are_refused():
    # Each part counts from 0; one image after the other is no order of queries and gallery.
    metric = RetrievalMetric(1)
    parts = [make_samples(*make_set(size=6, classes=3, seed=seed)) for seed in (0, 1)]
    for i, sample in enumerate(parts[1]):
        sample.set_field(f'more/{i}.jpg', 'img_path', field_type='metainfo')
    samples = [sample.to_dict() for part in parts for sample in part]
    metric.process(None, samples)
    assert metric.evaluate(12) and not metric.results
    metric.dataset_meta = {'num_queries': 6}
    metric.process(None, samples)
    with pytest.raises(ValueError, match="sample_idx 0 .* 'images/0.jpg' .* 'more/"):
        metric.evaluate(12)
