import importlib.util

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity

from dva_mm.evaluation import calculator
from dva_mm.evaluation.calculator import CosineKNN, RetrievalCalculator

BACKENDS = [
    pytest.param(
        'faiss',
        marks=pytest.mark.skipif(
            importlib.util.find_spec('faiss') is None, reason='faiss is not installed'
        ),
    ),
    'torch',
]


def naive_recall(query, query_labels, k, gallery=None, gallery_labels=None):
    """Recall@K by a double loop in float64, lone queries left out."""
    own = gallery is None
    gallery, gallery_labels = (query, query_labels) if own else (gallery, gallery_labels)
    hits = []
    for i, (q, label) in enumerate(zip(query, query_labels, strict=True)):
        ranked = []
        for j, (g, other) in enumerate(zip(gallery, gallery_labels, strict=True)):
            if not (own and i == j):
                cosine = np.dot(q, g) / np.sqrt(np.dot(q, q) * np.dot(g, g))
                ranked.append((cosine, other == label))
        if any(same for _, same in ranked):
            ranked.sort(key=lambda pair: -pair[0])
            hits.append(any(same for _, same in ranked[:k]))
    return sum(hits) / len(hits)


def random_set(seed, size, classes, channels=5):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(size, channels)) * rng.uniform(0.1, 10, size=(size, 1))
    return embeddings, rng.integers(classes, size=size)


def recall(embeddings, labels, ks, backend='torch', **kwargs):
    knn = CosineKNN(backend, chunk_size=7)
    got = RetrievalCalculator(ks, knn_func=knn).get_accuracy(
        torch.as_tensor(embeddings), torch.as_tensor(labels), **kwargs
    )
    return [got[f'recall_at_{k}'] for k in ks]


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('seed', range(3))
def test_recall_is_that_of_the_double_loop(backend, seed):
    # 20 classes for 40 images: some classes are lone.
    embeddings, labels = random_set(seed, size=40, classes=20)
    assert 1 in np.bincount(labels)
    ks = (1, 2, 4, 8, 39)
    want = [naive_recall(embeddings, labels, k) for k in ks]
    assert recall(embeddings, labels, ks, backend) == pytest.approx(want, abs=1e-12)
    assert want[0] < want[2] < want[-1] == 1


@pytest.mark.parametrize('backend', BACKENDS)
def test_separate_gallery_keeps_a_copy_of_the_query(backend):
    query, query_labels = random_set(0, size=15, classes=6)
    gallery, gallery_labels = random_set(1, size=30, classes=6)
    gallery[3], gallery_labels[3] = query[0], query_labels[0]
    want = [naive_recall(query, query_labels, k, gallery, gallery_labels) for k in (1, 3)]
    got = recall(
        query,
        query_labels,
        (1, 3),
        backend,
        reference=torch.as_tensor(gallery),
        reference_labels=torch.as_tensor(gallery_labels),
    )
    assert got == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize('backend', BACKENDS)
def test_query_is_not_its_own_neighbour_among_duplicates(backend):
    # Six copies of one vector: a search for k + 1 = 3 rows cannot return every query itself.
    embeddings = torch.cat([torch.ones(6, 4), torch.randn(5, 4).sub(3)])
    similarities, rows = CosineKNN(backend)(embeddings, 2, embeddings, ref_includes_query=True)
    assert similarities.shape == rows.shape == (11, 2)
    assert not (rows == torch.arange(11)[:, None]).any()
    assert (rows[:6] < 6).all()


@pytest.mark.parametrize('backend', BACKENDS)
def test_duplicates_of_another_class_never_answer_a_query(backend):
    # Each vector is shared by one image of each class: the twin is a miss at K = 1, whichever
    # of the two the search lists first.
    base = torch.eye(4) + 0.01 * torch.ones(4, 4)
    embeddings = torch.cat([base[:2], base[:2]])
    assert recall(embeddings, [0, 0, 1, 1], (1, 3), backend) == [0, 1]


@pytest.mark.parametrize('backend', BACKENDS)
def test_all_tied_recall_is_between_no_hit_and_every_hit(backend):
    labels = [0, 1] * 5
    one, most = recall(torch.ones(10, 3), labels, (1, 6), backend)
    assert 0 <= one <= 1
    assert most == 1  # only five of the nine others are of the other class


@pytest.mark.skipif(importlib.util.find_spec('faiss') is None, reason='faiss is not installed')
@pytest.mark.parametrize('own_gallery', [True, False])
def test_faiss_and_torch_find_the_same_neighbours(own_gallery):
    query = torch.as_tensor(random_set(0, 50, 5)[0])
    gallery = query if own_gallery else torch.as_tensor(random_set(1, 60, 5)[0])
    found = [CosineKNN(b, 16)(query, 5, gallery, own_gallery) for b in ('faiss', 'torch')]
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=0)
    assert torch.equal(found[0][1], found[1][1])


def test_torch_search_holds_one_chunk_of_similarities(monkeypatch):
    shapes = []

    class Spy(CosineSimilarity):
        def compute_mat(self, query_emb, ref_emb):
            mat = super().compute_mat(query_emb, ref_emb)
            shapes.append(tuple(mat.shape))
            return mat

    monkeypatch.setattr(calculator, 'CosineSimilarity', Spy)
    embeddings, labels = random_set(0, size=40, classes=5)
    knn = CosineKNN('torch', chunk_size=16)
    RetrievalCalculator((1,), knn_func=knn).get_accuracy(
        torch.as_tensor(embeddings), torch.as_tensor(labels)
    )
    assert shapes == [(16, 40), (16, 40), (8, 40)]


def test_labels_are_never_compared_as_a_table_of_classes_by_gallery(monkeypatch):
    shapes = []
    same_label = calculator._same_label

    def spy(labels, others):
        shapes.append(tuple(torch.broadcast_shapes(labels.shape, others.shape)))
        return same_label(labels, others)

    monkeypatch.setattr(calculator, '_same_label', spy)
    embeddings = torch.randn(30, 4)
    RetrievalCalculator((1, 2)).get_accuracy(embeddings, torch.arange(30) % 10)
    # Gallery images of each class, the classes against themselves, the hits at each K.
    assert shapes == [(30,)] * 10 + [(10,), (30, 1), (30, 2)]


def test_search_retrieves_no_more_than_the_largest_k():
    asked = []

    def knn(query, k, reference, ref_includes_query):
        asked.append((k, ref_includes_query))
        return CosineKNN('torch')(query, k, reference, ref_includes_query)

    embeddings, labels = random_set(0, size=30, classes=5)
    RetrievalCalculator((4, 2, 1), knn_func=knn).get_accuracy(
        torch.as_tensor(embeddings), torch.as_tensor(labels)
    )
    assert asked == [(4, True)]


def test_without_faiss_the_torch_search_is_used(monkeypatch):
    monkeypatch.setattr(calculator, 'faiss', None)
    embeddings, labels = random_set(0, size=30, classes=5)
    got = RetrievalCalculator((1,)).get_accuracy(
        torch.as_tensor(embeddings), torch.as_tensor(labels)
    )
    assert got == {'recall_at_1': pytest.approx(naive_recall(embeddings, labels, 1))}
    with pytest.raises(ValueError, match='faiss-cpu or faiss-gpu'):
        CosineKNN('faiss')


def test_search_makes_no_gradient_graph():
    embeddings = torch.randn(6, 3, requires_grad=True)
    similarities, _ = CosineKNN('torch')(embeddings, 2, embeddings, True)
    assert not similarities.requires_grad


@pytest.mark.parametrize('backend', BACKENDS)
def test_k_beyond_the_gallery_is_refused(backend):
    embeddings = torch.randn(5, 3)
    labels = [0, 0, 0, 1, 1]
    assert recall(embeddings, labels, (4,), backend) == [1]
    with pytest.raises(ValueError, match=r'K = 5 images from a gallery of 4 \(the query itself'):
        recall(embeddings, labels, (1, 5), backend)
    with pytest.raises(ValueError, match='K = 5 images from a gallery of 4'):
        CosineKNN(backend)(embeddings, 5, embeddings, ref_includes_query=True)
    reference = dict(reference=embeddings, reference_labels=torch.as_tensor(labels))
    assert recall(torch.randn(2, 3), [0, 1], (5,), backend, **reference) == [1]
    with pytest.raises(ValueError, match='K = 6 images from a gallery of 5: '):
        recall(torch.randn(2, 3), [0, 1], (6,), backend, **reference)


def test_only_recall_is_computed_and_lone_classes_alone_give_nan():
    got = RetrievalCalculator(2).get_accuracy(torch.randn(4, 3), torch.arange(4))
    assert list(got) == ['recall_at_2']
    assert np.isnan(got['recall_at_2'])


@pytest.mark.parametrize('ks', [(), 0, (1, -2), (1, 2.0), (True,), ('1',)])
def test_wrong_ks_are_refused(ks):
    with pytest.raises(ValueError, match='positive integers'):
        RetrievalCalculator(ks)


@pytest.mark.parametrize('kwargs', [{'backend': 'annoy'}, {'backend': 'torch', 'chunk_size': 0}])
def test_wrong_search_options_are_refused(kwargs):
    with pytest.raises(ValueError, match='must be'):
        CosineKNN(**kwargs)
