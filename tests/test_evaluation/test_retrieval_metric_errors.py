import re
from unittest import mock

import pytest
import torch
from metric_runs import evaluate, make_samples, make_set, naive_recalls

from dva_mm.evaluation import RetrievalMetric, entries
from dva_mm.evaluation import retrieval_metric as module


@pytest.mark.parametrize('indexed', [True, False])
def test_missing_images_are_warned_of(indexed):
    embeddings, labels = make_set()
    with mock.patch.object(entries, 'print_log') as log:
        evaluate(embeddings, labels, order=[*range(20)], indexed=indexed)
    log.assert_called_once()
    assert log.call_args.args[0].startswith('20 of the 24 images of the data set were evaluated')


@pytest.mark.parametrize('number', [0, -1, True, '10', 2.0])
def test_wrong_number_of_queries_is_refused_at_the_first_batch(number):
    metric = RetrievalMetric()
    metric.dataset_meta = {'num_queries': number}
    sample = make_samples(*make_set())[0].to_dict()
    with pytest.raises(ValueError, match=f'num_queries .* positive integer, got {number!r}'):
        metric.process(None, [sample])


def test_query_or_gallery_without_index_is_refused_at_once():
    metric = RetrievalMetric()
    metric.dataset_meta = {'num_queries': 3}
    sample = make_samples(*make_set(), indexed=False)[1].to_dict()
    with pytest.raises(ValueError, match=r"'images/1.jpg' has no sample_idx"):
        metric.process(None, [sample])
    metric.dataset_meta = {}
    metric.process(None, [sample])


def test_all_queries_without_a_gallery_are_refused():
    embeddings, labels = make_set()
    with pytest.raises(ValueError, match='num_queries = 24 makes 24 of 24 images queries'):
        evaluate(embeddings, labels, meta={'num_queries': 24})
    with pytest.raises(ValueError, match='num_queries = 4 makes 0 of 20 images queries'):
        evaluate(embeddings, labels, meta={'num_queries': 4}, order=[*range(4, 24)])


def test_queries_without_any_answer_are_refused():
    embeddings, _ = make_set(size=8)
    with pytest.raises(ValueError, match='all 2 classes have no image in the gallery'):
        evaluate(embeddings, [0, 0, 1, 1, 2, 2, 3, 3], 1, meta={'num_queries': 4})


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 0.0])
def test_unusable_embeddings_are_refused(value):
    embeddings, labels = make_set()
    embeddings[7] = value
    embeddings[9] = value
    with pytest.raises(ValueError, match=r"2 of 24 embeddings .* 'images/7.jpg'"):
        evaluate(embeddings, labels)


def test_one_class_is_refused():
    embeddings, _ = make_set()
    with pytest.raises(ValueError, match=r'all 24 queries are of class b \(1\)'):
        evaluate(embeddings, [1] * 24, meta={'classes': ['a', 'b']})


def test_lone_classes_are_left_out_with_one_warning():
    embeddings, _ = make_set(size=20)
    labels = [0] * 6 + [1] * 7 + list(range(2, 9))
    with mock.patch.object(module, 'print_log') as log:
        got = evaluate(embeddings, labels, meta={'classes': [f'bird {i}' for i in range(4)]})
    want = naive_recalls(embeddings, labels)
    assert list(got.values()) == pytest.approx(want)
    log.assert_called_once()
    message = log.call_args.args[0]
    assert message.startswith('7 of 9 classes have a single image; their 7 of 20 images are left')
    assert message.endswith('queries: bird 2 (2), bird 3 (3), 4, 5, 6, ...')


def test_no_warning_without_lone_classes():
    with mock.patch.object(module, 'print_log') as log:
        evaluate(*make_set())
    log.assert_not_called()


def test_only_lone_classes_are_refused():
    embeddings, _ = make_set()
    with pytest.raises(ValueError, match='all 24 classes have a single image: no query'):
        evaluate(embeddings, list(range(24)))


def test_k_beyond_the_test_set_is_refused():
    embeddings, labels = make_set(size=6, classes=2)
    assert evaluate(embeddings, labels, topk=5) == {'retrieval/Recall@5': 100}
    with pytest.raises(ValueError, match='K = 6 images from a gallery of 5'):
        evaluate(embeddings, labels, topk=(1, 6))


def test_no_images_are_refused():
    with pytest.raises(ValueError, match='no image was evaluated'):
        RetrievalMetric().evaluate(0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'embedding': None}, "'images/3.jpg' has no tensor 'embedding' (it has"),
        ({'gt_label': None}, "'images/3.jpg' has no tensor 'gt_label'"),
        ({'embedding': torch.zeros(1, 6)}, 'must be a vector (C,), got shape (1, 6)'),
        ({'gt_label': torch.tensor([0, 1])}, 'must hold one class, got [0, 1]'),
        ({'embedding': None, 'img_path': None}, 'an image of unknown path'),
    ],
)
def test_incomplete_samples_are_refused(change, message):
    sample = make_samples(*make_set())[3].to_dict() | change
    sample = {key: value for key, value in sample.items() if value is not None}
    with pytest.raises(ValueError, match=re.escape(message)):
        RetrievalMetric().process(None, [sample])


@pytest.mark.parametrize('topk', [0, (), (1, 'a')])
def test_wrong_topk_is_refused(topk):
    with pytest.raises(ValueError, match='positive integers'):
        RetrievalMetric(topk)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'metrics': ('recall', 'mAP')}, "one or more of ['recall', "),
        ({'metrics': ()}, 'one or more of'),
        ({'device': 'gpu:x'}, "device='gpu:x' cannot be used"),
        ({'per_class_file': 'classes.txt'}, "ending in '.json', got 'classes.txt'"),
    ],
)
def test_wrong_options_are_refused_before_the_evaluation(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RetrievalMetric(**options)


def test_queries_and_gallery_of_a_concatenated_data_set_are_refused():
    # Each part counts from 0; one image after the other is no order of queries and gallery.
    metric = RetrievalMetric(1)
    parts = [make_samples(*make_set(size=6, classes=3, seed=seed)) for seed in (0, 1)]
    for i, sample in enumerate(parts[1]):
        sample.set_field(f'more/{i}.jpg', 'img_path', field_type='metainfo')
    samples = [sample.to_dict() for part in parts for sample in part]
    metric.process(None, samples)
    assert metric.evaluate(12)
    metric.dataset_meta = {'num_queries': 6}
    metric.process(None, samples)
    with pytest.raises(ValueError, match="sample_idx 0 stands for 'images/0.jpg' and for 'more/"):
        metric.evaluate(12)
