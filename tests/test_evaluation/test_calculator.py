"""RetrievalCalculator, against a double loop and against pytorch-metric-learning's own."""

import re

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from metric_runs import NEEDS_FAISS, both_backends
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from torch.utils._python_dispatch import TorchDispatchMode

from dva_mm.evaluation import CosineKNN, RetrievalCalculator, calculator, metrics

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
    calculate = RetrievalCalculator(ks, include, knn, return_per_class=per_class)
    return calculate.get_accuracy(*data)


def sets():
    """Own gallery with lone classes, classes of very different size, a gallery of its own that
    lacks some of the queries' classes and holds a copy of a query."""
    own = random_set(0, 40, 20)
    assert 1 in own[1].bincount()
    yield own
    embeddings, labels = random_set(1, 60, 9)
    yield embeddings, torch.where(torch.arange(60) < 45, 3, 2**24 + labels)
    query, gallery = random_set(2, 25, 8), random_set(3, 40, 6)
    assert set(query[1].tolist()) > set(gallery[1].tolist())
    gallery[0][3], gallery[1][3] = query[0][0], query[1][0]
    yield *query, *gallery


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('limit', [2**20, 30])
@both_backends
@pytest.mark.parametrize('data', [*sets()])
def test_figures_are_those_of_the_double_loop(data, backend, limit, monkeypatch):
    monkeypatch.setattr(metrics, 'MAX_ENTRIES', limit)
    want = twin.figures(*data[:2], KS, *data[2:])
    got, by_class = (figures(data, backend, per_class=choice) for choice in (False, True))
    assert sorted(got) == sorted(by_class) == sorted(NAMES)
    for name in NAMES:
        assert got[name] == pytest.approx(twin.overall(want, name), abs=1e-12), name
        assert by_class[name] == pytest.approx(twin.per_class(want, name), abs=1e-12), name
    assert len({round(value, 6) for value in got.values()}) >= 6  # names cannot be swapped


@pytest.mark.parametrize('per_class', [False, True])
@pytest.mark.parametrize('gallery', [False, True])
def test_figures_are_those_of_pml(per_class, gallery):
    rng = np.random.default_rng(0)
    data = random_set(0, 80, 1)[0], torch.from_numpy(np.minimum(rng.geometric(0.2, 80), 14))
    if gallery:
        data += random_set(9, 50, 12)
    unit = [torch.nn.functional.normalize(x, dim=1) if x.ndim == 2 else x for x in data]
    most = int(data[-1].bincount().max())
    # PML's reciprocal rank looks at all k neighbours; without others it finds none.
    for names, k in ((PML[:3], most), (('precision_at_1', 'mean_reciprocal_rank'), 8)):
        pml = AccuracyCalculator(
            names, k=k, return_per_class=per_class, device=torch.device('cpu')
        ).get_accuracy(*unit)
        got = figures(data, include=names, per_class=per_class)
        assert sorted(got) == sorted(pml)
        for name in names:  # PML holds reciprocal ranks in float32
            assert got[name] == pytest.approx(pml[name], abs=1e-7), name


@both_backends
@pytest.mark.parametrize('scale', [1e-30, 1e30, 1e-44, 1e38, 1e-200, 'mixed', 'half'])
def test_embeddings_of_any_length_give_the_figures_of_float64(scale, backend):
    embeddings, labels = random_set(4, 40, 6)
    if scale == 'half':  # the squares overflow in fp16
        embeddings = (embeddings / embeddings.abs().amax() * 6e4).half()
    elif scale == 'mixed':
        embeddings = (embeddings * torch.logspace(-34, 34, 40)[:, None]).float()
    else:
        embeddings = embeddings / embeddings.abs().amax(dim=1, keepdim=True) * scale
        embeddings = embeddings if scale == 1e-200 else embeddings.float()
    twins = embeddings.double() / embeddings.double().abs().amax(dim=1, keepdim=True)
    want = twin.figures(twins, labels, KS)
    got = figures((embeddings, labels), backend)
    if scale == 1e-44:  # a few bits are left: equal similarities, which come in any order
        unit = torch.nn.functional.normalize(twins, dim=1)
        for x in (embeddings, twins):
            similarities, _ = CosineKNN(backend)(x, 8, x, True)
            exact = (unit @ unit.T).fill_diagonal_(-1).topk(8, dim=1).values
            torch.testing.assert_close(similarities.double(), exact, atol=1e-6, rtol=0)
        return
    for name in NAMES:
        assert got[name] == pytest.approx(twin.overall(want, name), abs=1e-12), name


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
def test_search_retrieves_no_more_than_the_figures_need(include, k):
    asked = []

    def knn(query, k, reference, ref_includes_query):
        asked.append((k, ref_includes_query))
        return CosineKNN('torch')(query, k, reference, ref_includes_query)

    labels = torch.tensor([0] * 6 + [1] * 3)
    calculate = RetrievalCalculator((4, 2, 1), include, knn_func=knn).get_accuracy
    calculate(torch.randn(9, 4), labels)
    # A gallery of its own has one right answer more.
    calculate(torch.randn(9, 4), labels, torch.randn(9, 4), labels)
    assert asked == [(k, True), (6 if k == 5 else k, False)]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation makes."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.size = max(self.size, tensor.numel())
        return result


def test_no_table_of_images_by_classes_or_images_is_made():
    size, channels = 3000, 4
    labels = torch.arange(size) // 2
    labels[-1000:] = torch.arange(10**6, 10**6 + 1000)  # lone ones, which PML tables too
    embeddings = torch.randn(size, channels)
    knn = CosineKNN('torch', chunk_size=8)
    calculate = RetrievalCalculator(KS, ('recall', *PML), knn, return_per_class=True)
    with Largest() as largest:
        calculate.get_accuracy(embeddings, labels)
    assert largest.size <= max(size * max(KS), 8 * size)


def test_figures_can_be_chosen_at_each_evaluation_as_in_pml():
    data = random_set(0, 40, 6)
    calculate = RetrievalCalculator(KS, ('recall', *PML), CosineKNN('torch')).get_accuracy
    everything = calculate(*data)
    some = calculate(*data, include=('recall_at_2', 'r_precision'))
    assert some == {name: everything[name] for name in ('recall_at_2', 'r_precision')}
    assert calculate(*data, exclude=NAMES[1:]) == {'recall_at_1': everything['recall_at_1']}
    numpy = calculate(*(part.numpy() for part in data))
    assert numpy == everything


@NEEDS_FAISS
def test_clusters_are_those_of_the_directions_and_scored_by_scikit_learn():
    embeddings, labels = random_set(0, 60, 4)
    embeddings = embeddings + 8 * torch.eye(5, dtype=torch.float64)[labels]
    embeddings = torch.cat([embeddings, embeddings[:1]])
    labels = torch.cat([labels, torch.tensor([4])])  # a lone class is clustered too
    calculate = RetrievalCalculator(include=('AMI', 'NMI', 'recall'), return_per_class=True)
    got = calculate.get_accuracy(embeddings, labels)
    unit = torch.nn.functional.normalize(embeddings, dim=1)
    clusters = calculate.get_cluster_labels(unit.float(), labels)
    assert got['NMI'] == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-12)
    assert got['AMI'] == pytest.approx(adjusted_mutual_info_score(labels, clusters), abs=1e-12)
    assert 0.1 < got['AMI'] < got['NMI'] < 1
    assert len(clusters.unique()) == 5
    alone = RetrievalCalculator(include='NMI', knn_func=lambda *_: pytest.fail('searched'))
    assert alone.get_accuracy(embeddings, labels) == {'NMI': pytest.approx(got['NMI'])}
    pml = AccuracyCalculator(('NMI', 'AMI'), device=torch.device('cpu'))
    assert {k: got[k] for k in ('NMI', 'AMI')} == pytest.approx(pml.get_accuracy(unit, labels))
    lengths = torch.logspace(-30, 30, 61)[:, None]
    assert calculate.get_accuracy(embeddings * lengths, labels)['NMI'] == pytest.approx(got['NMI'])


def test_clustering_without_faiss_is_refused(monkeypatch):
    monkeypatch.setattr(calculator, 'faiss', None)
    assert RetrievalCalculator(include=PML)
    with pytest.raises(ValueError, match='faiss-cpu or faiss-gpu'):
        RetrievalCalculator(include=('recall', 'NMI'))


@both_backends
def test_copies_never_answer_for_another_class_and_are_found_for_their_own(backend):
    # Each vector is shared by one image of each class: a miss at K = 1, whichever comes first.
    base = torch.eye(4) + 0.01 * torch.ones(4, 4)
    data = torch.cat([base[:2], base[:2]]), torch.tensor([0, 0, 1, 1])
    assert list(figures(data, backend, 'recall', (1, 3)).values()) == [0, 1]
    labels = torch.arange(5).repeat(4)
    got = figures((torch.eye(5)[labels], labels), backend)
    assert got == dict.fromkeys(NAMES, 1)
    got = figures((torch.ones(10, 3), torch.tensor([0, 1] * 5)), backend, ks=(1, 6))
    assert all(0 <= value <= 1 for value in got.values())
    assert got['recall_at_6'] == 1  # only five of the nine others are of the other class


@both_backends
def test_k_beyond_the_gallery_is_refused(backend):
    embeddings, labels = torch.randn(5, 3), torch.tensor([0, 0, 0, 1, 1])
    assert figures((embeddings, labels), backend, 'recall', 4) == {'recall_at_4': 1}
    with pytest.raises(ValueError, match='K = 5 .* 4 '):
        figures((embeddings, labels), backend, 'recall', (1, 5))
    data = (torch.randn(2, 3), torch.tensor([0, 1]), embeddings, labels)
    assert figures(data, backend, 'recall', 5) == {'recall_at_5': 1}
    with pytest.raises(ValueError, match='K = 6 .* 5'):
        figures(data, backend, 'recall', 6)
    # The cut-offs do not matter where they are not asked for.
    assert figures(data, backend, 'precision_at_1', 6)


@pytest.mark.parametrize(('per_class', 'want'), [(False, [np.nan]), (True, [[]])])
def test_lone_classes_alone_give_nan_or_no_class(per_class, want):
    got = figures((torch.randn(4, 3), torch.arange(4)), ks=2, per_class=per_class)
    assert sorted(got) == sorted(['recall_at_2', *PML])
    np.testing.assert_equal([*got.values()], want * 5)


@pytest.mark.parametrize(
    ('options', 'value'),
    [
        *[(dict(ks=ks), repr(ks)) for ks in [(), 0, (1, -2), (1, 2.0), (True,), ('1',)]],
        *[(dict(include=names), repr(names)) for names in [(), 'map', ('recall', 'mAP')]],
        (dict(include='map'), "'recall', .*'AMI'"),  # the known names
        (dict(device='gpu:x'), 'gpu:x'),
    ],
)
def test_wrong_options_are_named(options, value):
    with pytest.raises(ValueError, match=value if '.*' in value else re.escape(value)):
        RetrievalCalculator(**options)


def test_embeddings_without_labels_are_refused():
    with pytest.raises(ValueError, match='5 queries and 5 .* 4 and 4 labels'):
        RetrievalCalculator().get_accuracy(torch.randn(5, 3), torch.arange(4))
