import re
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample

from dva_mm.evaluation import RetrievalMetric
from dva_mm.evaluation import retrieval_metric as module


def naive_percent(embeddings, labels, k):
    """Recall@K in percent by a double loop, lone queries left out."""
    unit = [e / np.sqrt((e * e).sum()) for e in np.asarray(embeddings, dtype=np.float64)]
    hits = queries = 0
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        if not any(labels[j] == label for j in others):
            continue
        queries += 1
        nearest = sorted(others, key=lambda j: -float(unit[i] @ unit[j]))[:k]
        hits += any(labels[j] == label for j in nearest)
    return 100 * hits / queries


def make_set(size=24, classes=8, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = torch.from_numpy(rng.normal(size=(size, 6)).astype(np.float32))
    return embeddings, (np.arange(size) % classes).tolist()


def make_samples(embeddings, labels):
    samples = []
    for i, (embedding, label) in enumerate(zip(embeddings, labels, strict=True)):
        sample = DataSample(metainfo={'img_path': f'images/{i}.jpg'}).set_gt_label(label)
        sample.set_field(embedding, 'embedding')
        samples.append(sample)
    return samples


def evaluate(embeddings, labels, topk=(1, 2, 4, 8), classes=None, order=None, batch=5):
    """Go through MMEngine's own Evaluator, in the given order of samples."""
    metric = RetrievalMetric(topk)
    evaluator = Evaluator(metric)
    if classes:
        evaluator.dataset_meta = {'classes': classes}
    samples = make_samples(embeddings, labels)
    seen = [samples[i] for i in (order or range(len(samples)))]
    for start in range(0, len(seen), batch):
        evaluator.process(seen[start : start + batch], data_batch=None)
    assert len(metric.results) == len(seen)
    return evaluator.evaluate(len(samples))


def test_percentages_are_those_of_the_double_loop():
    embeddings, labels = make_set()
    got = evaluate(embeddings, labels)
    assert list(got) == [f'retrieval/Recall@{k}' for k in (1, 2, 4, 8)]
    want = [naive_percent(embeddings, labels, k) for k in (1, 2, 4, 8)]
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


def test_padding_of_the_last_rank_is_cut():
    # Two ranks, 11 images: rank 0 sees 0, 2, .., 10, rank 1 sees 1, 3, .., 9 and image 0 again.
    embeddings, labels = make_set(size=11, classes=4)
    padded = evaluate(embeddings, labels, topk=(1, 2), order=[*range(11), 0])
    assert padded == evaluate(embeddings, labels, topk=(1, 2))
    # The duplicate would have been an answer: image 0 is a miss at K = 1 without it.
    duplicated = evaluate(torch.cat([embeddings, embeddings[:1]]), [*labels, 0], topk=(1, 2))
    assert duplicated['retrieval/Recall@1'] > padded['retrieval/Recall@1']


def test_metric_starts_empty_after_evaluate():
    metric = RetrievalMetric(topk=1)
    values = []
    for seed in (0, 1):
        embeddings, labels = make_set(seed=seed)
        metric.process(None, [s.to_dict() for s in make_samples(embeddings, labels)])
        values.append(metric.evaluate(len(labels))['retrieval/Recall@1'])
        assert values[-1] == pytest.approx(naive_percent(embeddings, labels, 1))
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


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 0.0])
def test_unusable_embeddings_are_refused(value):
    embeddings, labels = make_set()
    embeddings[7] = value
    embeddings[9] = value
    with pytest.raises(ValueError, match=r"2 of 24 embeddings .* 'images/7.jpg'"):
        evaluate(embeddings, labels)


def test_one_unusable_value_is_enough():
    embeddings, labels = make_set()
    embeddings[7, 2] = float('nan')
    with pytest.raises(ValueError, match='1 of 24 embeddings'):
        evaluate(embeddings, labels)


def test_one_class_is_refused():
    embeddings, _ = make_set()
    with pytest.raises(ValueError, match=r'all 24 images are of class b \(1\)'):
        evaluate(embeddings, [1] * 24, classes=['a', 'b'])


def test_lone_classes_are_left_out_with_one_warning():
    embeddings, _ = make_set(size=20)
    labels = [0] * 6 + [1] * 7 + list(range(2, 9))
    with mock.patch.object(module, 'print_log') as log:
        got = evaluate(embeddings, labels, classes=[f'bird {i}' for i in range(4)])
    want = [naive_percent(embeddings, labels, k) for k in (1, 2, 4, 8)]
    assert list(got.values()) == pytest.approx(want)
    log.assert_called_once()
    message = log.call_args.args[0]
    assert message.startswith('7 of 9 classes have a single image')
    assert message.endswith('queries: bird 2 (2), bird 3 (3), 4, 5, 6, ...')


def test_no_warning_without_lone_classes():
    with mock.patch.object(module, 'print_log') as log:
        evaluate(*make_set())
    log.assert_not_called()


def test_only_lone_classes_are_refused():
    embeddings, _ = make_set()
    with pytest.raises(ValueError, match='each of the 24 classes has a single image'):
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
