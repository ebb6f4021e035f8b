from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import reference_retrieval as twin
import torch
from metric_runs import both_backends

from dva_mm.evaluation import CosineKNN, knn


def vectors(seed, size, channels=5):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(size, channels)) * rng.uniform(0.1, 10, size=(size, 1))
    return torch.from_numpy(rows.astype(np.float32))


class FakeIndex:
    """Stands for faiss' flat index, and tells where it was put."""

    device = 'cpu'

    def add(self, gallery):
        self.gallery = gallery

    def search(self, query, k):
        similarities = query @ self.gallery.T
        rows = np.argsort(-similarities, axis=1)[:, :k]
        return np.take_along_axis(similarities, rows, axis=1), rows


def fake_faiss(gpus, made):
    def to_gpu(resources, device, index):
        index.device = f'{resources} {device}'
        return index

    def index(channels):
        made.append(FakeIndex())
        return made[-1]

    return SimpleNamespace(
        IndexFlatIP=index,
        get_num_gpus=lambda: gpus,
        StandardGpuResources=lambda: 'gpu',
        index_cpu_to_gpu=to_gpu,
    )


@both_backends
@pytest.mark.parametrize('chunk_size', [1, 7, 1000])
@pytest.mark.parametrize('own', [True, False])
def test_neighbours_are_those_of_the_sorted_list(backend, chunk_size, own):
    query = vectors(0, 23)
    gallery = query if own else vectors(1, 30)
    similarities, rows = CosineKNN(backend, chunk_size)(query, 6, gallery, own)
    want = [twin.ranking(q, i if own else None, gallery)[:6] for i, q in enumerate(query.double())]
    assert rows.tolist() == want
    cosine = torch.nn.functional.cosine_similarity(query[:, None], gallery[rows], dim=2)
    torch.testing.assert_close(similarities, cosine, atol=1e-6, rtol=0)


@both_backends
def test_queries_that_begin_a_larger_gallery_are_left_out_alone(backend):
    gallery = vectors(0, 20)
    _, rows = CosineKNN(backend, 4)(gallery[:9], 19, gallery, ref_includes_query=True)
    for i, row in enumerate(rows.tolist()):
        assert sorted(row) == [j for j in range(20) if j != i]


@both_backends
@pytest.mark.parametrize('chunk_size', [3, 100])
def test_query_is_not_its_own_neighbour_among_duplicates(backend, chunk_size):
    # Six copies of one vector: a search for k + 1 = 3 rows cannot return every query itself.
    embeddings = torch.cat([torch.ones(6, 4), torch.randn(5, 4).sub(3)])
    similarities, rows = CosineKNN(backend, chunk_size)(
        embeddings, 2, embeddings, ref_includes_query=True
    )
    assert similarities.shape == rows.shape == (11, 2)
    assert not (rows == torch.arange(11)[:, None]).any()
    assert (rows[:6] < 6).all()
    assert (similarities[:, 0] >= similarities[:, 1]).all()


@both_backends
def test_queries_are_searched_a_block_at_a_time_and_no_graph_is_made(backend, monkeypatch):
    name = f'_find_with_{backend}'
    spy = mock.Mock(side_effect=getattr(knn, name))
    monkeypatch.setattr(knn, name, spy)
    embeddings = vectors(0, 40).double().requires_grad_()
    similarities, rows = CosineKNN(backend, chunk_size=16)(embeddings, 2, embeddings, True)
    assert [len(call.args[0]) for call in spy.call_args_list] == [16, 16, 8]
    assert not similarities.requires_grad
    assert (similarities.dtype, rows.dtype) == (torch.float32, torch.int32)


@both_backends
def test_k_beyond_the_gallery_is_refused(backend):
    embeddings = torch.randn(5, 3)
    assert CosineKNN(backend)(embeddings, 5, embeddings)[1].shape == (5, 5)
    with pytest.raises(ValueError, match=r'K = 5 images from a gallery of 4 \(the query itself'):
        CosineKNN(backend)(embeddings, 5, embeddings, ref_includes_query=True)
    with pytest.raises(ValueError, match='K = 6 images from a gallery of 5: '):
        CosineKNN(backend)(embeddings, 6, embeddings)


@pytest.mark.parametrize(
    ('gpus', 'size', 'k', 'device'),
    [
        (1, 30, 4, 'gpu 0'),
        (0, 30, 4, 'cpu'),
        (2, 2060, 2047, 'gpu 0'),  # and the query itself: 2048
        (2, 2060, 2048, 'cpu'),
    ],
)
def test_faiss_searches_on_the_gpu_up_to_its_limit(monkeypatch, gpus, size, k, device):
    made = []
    monkeypatch.setattr(knn, 'faiss', fake_faiss(gpus, made))
    embeddings = vectors(0, size)
    _, rows = CosineKNN('auto')(embeddings[:5], k, embeddings, ref_includes_query=True)
    assert [index.device for index in made] == [device]
    want = [twin.ranking(q, i, embeddings)[:3] for i, q in enumerate(embeddings[:5].double())]
    assert rows[:, :3].tolist() == want


@pytest.mark.parametrize(
    ('backend', 'gpus', 'on_gpu', 'want'),
    [
        ('auto', 0, False, True),
        ('auto', 0, True, False),  # faiss would take the embeddings off the GPU
        ('auto', 1, True, True),
        ('auto', None, False, False),
        ('auto', None, True, False),
        ('faiss', 0, True, True),
        ('torch', 1, False, False),
    ],
)
def test_choice_of_the_search(monkeypatch, backend, gpus, on_gpu, want):
    monkeypatch.setattr(knn, 'faiss', None if gpus is None else fake_faiss(gpus, []))
    assert knn.uses_faiss(backend, on_gpu) is want


def test_without_faiss_the_torch_search_is_used_and_mistakes_are_named(monkeypatch):
    monkeypatch.setattr(knn, 'faiss', None)
    embeddings = vectors(0, 12)
    _, rows = CosineKNN()(embeddings, 3, embeddings, True)
    want = [twin.ranking(q, i, embeddings)[:3] for i, q in enumerate(embeddings.double())]
    assert rows.tolist() == want
    for options, word in (
        (dict(backend='faiss'), 'faiss-cpu or faiss-gpu'),
        (dict(backend='annoy'), "'annoy'"),
        (dict(chunk_size=0), 'chunk_size .*0'),
    ):
        with pytest.raises(ValueError, match=word):
            CosineKNN(**options)
