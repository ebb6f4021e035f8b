import importlib.util
import warnings

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

from dva_mm.evaluation import CosineKNN, RetrievalCalculator, calculator

NEEDS_FAISS = pytest.mark.skipif(
    importlib.util.find_spec('faiss') is None, reason='faiss is not installed'
)
BACKENDS = [pytest.param('faiss', marks=NEEDS_FAISS), 'torch']
KS = (1, 2, 4, 8)
PML = ('precision_at_1', 'r_precision', 'mean_average_precision_at_r', 'mean_reciprocal_rank')
NAMES = [*(f'recall_at_{k}' for k in KS), *PML]


def random_set(seed, size, classes, channels=5):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(size, channels)) * rng.uniform(0.1, 10, size=(size, 1))
    return torch.from_numpy(embeddings), torch.from_numpy(rng.integers(classes, size=size))


def figures(data, backend='torch', include=('recall', *PML), ks=KS, per_class=False):
    """The figures for queries and, if there are four tensors, a gallery."""
    knn = CosineKNN(backend, chunk_size=7)
    return RetrievalCalculator(ks, include, knn_func=knn, return_per_class=per_class).get_accuracy(
        *data
    )


def recall(embeddings, labels, ks, backend):
    got = figures((embeddings, torch.as_tensor(labels)), backend, 'recall', ks)
    return [got[f'recall_at_{k}'] for k in ks]


def sets():
    """Own gallery with lone classes; separate gallery without some of the queries' classes."""
    for seed in range(2):
        own = random_set(seed, 40, 20)
        assert 1 in own[1].bincount()
        yield own
    query, gallery = random_set(2, 25, 8), random_set(3, 40, 6)
    assert set(query[1].tolist()) > set(gallery[1].tolist())
    yield *query, *gallery


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('data', [*sets()])
def test_figures_are_those_of_the_double_loop(data, backend):
    want = twin.figures(*data[:2], KS, *data[2:])
    got = figures(data, backend)
    assert sorted(got) == sorted(NAMES)
    for name in NAMES:
        # PML holds reciprocal ranks in float32.
        assert got[name] == pytest.approx(twin.overall(want, name), abs=1e-7), name
    assert len({round(value, 6) for value in got.values()}) >= 6  # names cannot be swapped


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('data', [*sets()])
def test_figures_of_each_class_are_those_of_the_double_loop(data, backend):
    want = twin.figures(*data[:2], KS, *data[2:])
    got = figures(data, backend, per_class=True)
    for name in NAMES:
        assert got[name] == pytest.approx(twin.per_class(want, name), abs=1e-7), name
    assert len(got['recall_at_1']) == len(want) < len(data[1].unique())


@pytest.mark.parametrize('per_class', [False, True])
@pytest.mark.parametrize('data', [*sets()])
def test_figures_are_those_of_pml(data, per_class):
    unit = [torch.nn.functional.normalize(x, dim=1) if x.ndim == 2 else x for x in data]
    most = int(data[-1].bincount().max())
    # Alone, PML's reciprocal rank finds no neighbours.
    for names, k in ((PML[:3], most), (('precision_at_1', 'mean_reciprocal_rank'), 8)):
        pml = AccuracyCalculator(
            names, k=k, return_per_class=per_class, device=torch.device('cpu')
        ).get_accuracy(*unit)
        got = figures(data, include=names, per_class=per_class)
        assert sorted(got) == sorted(pml)
        for name in names:
            assert got[name] == pytest.approx(pml[name], abs=1e-7), name


def test_classes_of_many_queries_are_taken_in_parts(monkeypatch):
    data = random_set(0, 40, 3)
    for per_class in (False, True):
        monkeypatch.setattr(calculator, 'MAX_ENTRIES', 2**20)
        whole = figures(data, per_class=per_class)
        monkeypatch.setattr(calculator, 'MAX_ENTRIES', 30)
        parts = figures(data, per_class=per_class)
        for name in NAMES:
            assert parts[name] == pytest.approx(whole[name], abs=1e-7)


@pytest.mark.parametrize('limit', [2**20, 30])
def test_a_formula_sees_one_class_and_no_more_neighbours_than_it_needs(monkeypatch, limit):
    monkeypatch.setattr(calculator, 'MAX_ENTRIES', limit)
    seen = {name: [] for name in PML}
    for name in PML:
        formula = getattr(AccuracyCalculator, f'calculate_{name}')

        def spy(self, knn_labels, query_labels, name=name, formula=formula, **kwargs):
            assert len(query_labels.unique()) == 1
            assert len(query_labels) == 1 or knn_labels.numel() <= limit
            seen[name].append(tuple(knn_labels.shape))
            return formula(self, knn_labels=knn_labels, query_labels=query_labels, **kwargs)

        monkeypatch.setattr(AccuracyCalculator, f'calculate_{name}', spy)
    figures((torch.randn(19, 4), torch.tensor([0] * 6 + [1] * 12 + [2])), ks=(1, 3))
    assert {width for _, width in seen['precision_at_1']} == {1}
    assert {width for _, width in seen['mean_reciprocal_rank']} == {3}
    for name in ('r_precision', 'mean_average_precision_at_r'):
        assert {width for _, width in seen[name]} == {5, 11}
        assert sum(rows for rows, _ in seen[name]) == 18


@pytest.mark.parametrize(
    ('include', 'k'),
    [
        ('recall', 4),
        ('mean_reciprocal_rank', 4),
        ('precision_at_1', 1),
        ('r_precision', 5),
        (('recall', 'mean_average_precision_at_r'), 5),
        (('precision_at_1', 'recall'), 4),
    ],
)
def test_search_retrieves_no_more_than_the_metrics_need(include, k):
    asked = []

    def knn(query, k, reference, ref_includes_query):
        asked.append((k, ref_includes_query))
        return CosineKNN('torch')(query, k, reference, ref_includes_query)

    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 21)[:9]
    calculate = RetrievalCalculator((4, 2, 1), include, knn_func=knn).get_accuracy
    calculate(torch.randn(9, 4), labels)
    # A gallery of its own has one right answer more.
    calculate(torch.randn(9, 4), labels, torch.randn(9, 4), labels)
    assert asked == [(k, True), (6 if k == 5 else k, False)]


@pytest.mark.parametrize('rank', [2, 3])
def test_reciprocal_rank_ends_at_the_largest_cut_off_whatever_else_is_asked(rank):
    # From the query of class 0 outwards: images of class 1, then the right answer at the rank.
    angles = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4])
    labels = torch.ones(5, dtype=torch.long)
    labels[[0, rank]] = 0
    data = torch.stack([angles.cos(), angles.sin()], dim=1), labels
    alone = figures(data, include='mean_reciprocal_rank', ks=2, per_class=True)
    both = figures(data, include=PML, ks=2, per_class=True)
    assert alone['mean_reciprocal_rank'] == both['mean_reciprocal_rank']
    # The other way round the query is third from its right answer, or further.
    want = {2: (1 / 2 + 0) / 2, 3: 0}[rank]
    assert alone['mean_reciprocal_rank'][0] == pytest.approx(want)


@NEEDS_FAISS
def test_clusters_are_those_of_the_directions_and_scored_by_scikit_learn():
    embeddings, labels = random_set(0, 60, 4)
    embeddings = embeddings + 8 * torch.eye(5, dtype=torch.float64)[labels]
    embeddings = torch.cat([embeddings, embeddings[:1]])
    labels = torch.cat([labels, torch.tensor([4])])  # a lone class is clustered too
    calculate = RetrievalCalculator(include=('AMI', 'NMI', 'recall'), return_per_class=True)
    got = calculate.get_accuracy(embeddings, labels)
    clusters = calculate.get_cluster_labels(embeddings.float(), labels)
    assert got['NMI'] == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-12)
    assert got['AMI'] == pytest.approx(adjusted_mutual_info_score(labels, clusters), abs=1e-12)
    assert 0.1 < got['AMI'] < got['NMI'] < 1
    assert len(clusters.unique()) == 5

    unit = torch.nn.functional.normalize(embeddings, dim=1)
    pml = AccuracyCalculator(('NMI', 'AMI'), device=torch.device('cpu'))
    assert {k: got[k] for k in ('NMI', 'AMI')} == pytest.approx(pml.get_accuracy(unit, labels))
    lengths = torch.logspace(-2, 2, 61)[:, None]
    assert calculate.get_accuracy(embeddings * lengths, labels)['NMI'] == pytest.approx(got['NMI'])


@NEEDS_FAISS
def test_clustering_alone_searches_nothing():
    def knn(*args):
        raise AssertionError('searched')

    got = RetrievalCalculator(include='NMI', knn_func=knn).get_accuracy(*random_set(0, 20, 3))
    assert list(got) == ['NMI']


def test_clustering_without_faiss_is_refused(monkeypatch):
    monkeypatch.setattr(calculator, 'faiss', None)
    assert RetrievalCalculator(include=PML)
    with pytest.raises(ValueError, match='NMI and AMI need .* faiss-cpu or faiss-gpu'):
        RetrievalCalculator(include=('recall', 'NMI'))


@pytest.mark.parametrize('backend', BACKENDS)
def test_separate_gallery_keeps_a_copy_of_the_query(backend):
    query, query_labels = random_set(0, size=15, classes=6)
    gallery, gallery_labels = random_set(1, size=30, classes=6)
    gallery[3], gallery_labels[3] = query[0], query_labels[0]
    data = (query, query_labels, gallery, gallery_labels)
    want = twin.figures(query, query_labels, KS, gallery, gallery_labels)
    assert want[int(query_labels[0])][0]['recall_at_1'] == 1
    got = figures(data, backend)
    for name in NAMES:
        assert got[name] == pytest.approx(twin.overall(want, name), abs=1e-7)


@pytest.mark.parametrize('backend', BACKENDS)
def test_duplicates_of_another_class_never_answer_a_query(backend):
    # Each vector is shared by one image of each class: the twin is a miss at K = 1, whichever
    # of the two the search lists first.
    base = torch.eye(4) + 0.01 * torch.ones(4, 4)
    embeddings = torch.cat([base[:2], base[:2]])
    assert recall(embeddings, [0, 0, 1, 1], (1, 3), backend) == [0, 1]


@pytest.mark.parametrize('backend', BACKENDS)
def test_all_tied_figures_are_between_no_hit_and_every_hit(backend):
    got = figures((torch.ones(10, 3), torch.tensor([0, 1] * 5)), backend, ks=(1, 6))
    assert all(0 <= value <= 1 for value in got.values())
    assert got['recall_at_6'] == 1  # only five of the nine others are of the other class


@pytest.mark.parametrize('backend', BACKENDS)
def test_copies_of_one_image_a_class_are_all_found(backend):
    labels = torch.arange(5).repeat(4)
    got = figures((torch.eye(5)[labels], labels), backend)
    assert got == {name: 1 for name in got}
    assert sorted(got) == sorted(NAMES)


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


@pytest.mark.parametrize('backend', BACKENDS)
def test_k_beyond_the_gallery_is_refused(backend):
    embeddings = torch.randn(5, 3)
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert recall(embeddings, labels, (4,), backend) == [1]
    with pytest.raises(ValueError, match=r'K = 5 images from a gallery of 4 \(the query itself'):
        recall(embeddings, labels, (1, 5), backend)
    data = (torch.randn(2, 3), torch.tensor([0, 1]), embeddings, labels)
    assert figures(data, backend, 'recall', 5) == {'recall_at_5': 1}
    with pytest.raises(ValueError, match='K = 6 images from a gallery of 5: '):
        figures(data, backend, 'recall', 6)
    # The cut-offs do not matter where they are not asked for.
    assert figures(data, backend, 'precision_at_1', 6)


@pytest.mark.parametrize(('per_class', 'want'), [(False, [np.nan]), (True, [[]])])
def test_lone_classes_alone_give_nan_or_no_class(per_class, want):
    got = figures((torch.randn(4, 3), torch.arange(4)), ks=2, per_class=per_class)
    assert sorted(got) == sorted(['recall_at_2', *PML])
    np.testing.assert_equal([*got.values()], want * 5)


def test_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figures(random_set(0, 40, 20))


@pytest.mark.parametrize('ks', [(), 0, (1, -2), (1, 2.0), (True,), ('1',)])
def test_wrong_ks_are_refused(ks):
    with pytest.raises(ValueError, match='positive integers'):
        RetrievalCalculator(ks)


@pytest.mark.parametrize('include', [(), 'map', ('recall', 'mean_average_precision')])
def test_unknown_metrics_are_refused_with_the_known_ones(include):
    with pytest.raises(ValueError, match=r"one or more of \['recall', .*'AMI'\], got"):
        RetrievalCalculator(include=include)


def test_a_device_that_is_not_there_is_refused():
    assert RetrievalCalculator(device=torch.device('cpu')).device.type == 'cpu'
    with pytest.raises(ValueError, match="device='gpu:x' cannot be used"):
        RetrievalCalculator(device='gpu:x')
