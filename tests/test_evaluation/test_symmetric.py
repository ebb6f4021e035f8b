import numpy as np
import pytest
import reference_retrieval as twin
import torch

from dva_mm.evaluation import CosineKNN, symmetric
from dva_mm.evaluation.symmetric import CandidateLists, find_among_themselves, pack, unpack


@pytest.fixture(params=[0.0, 0.1, 1.0], ids=['rank', 'both', 'pick'])
def dense(request, monkeypatch):
    """Tiles are ranked whole, either way, or picked from wherever the lists have room."""
    monkeypatch.setattr(symmetric, 'DENSE', request.param)


def unit_rows(size, channels=6, seed=0):
    rows = np.random.default_rng(seed).normal(size=(size, channels))
    rows = torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype('f4'))
    return rows


@pytest.mark.usefixtures('dense')
@pytest.mark.parametrize('tile', [1, 7, 24, 1000])
@pytest.mark.parametrize('k', [1, 5, 47])
def test_neighbours_are_those_of_the_sorted_list(tile, k):
    rows = unit_rows(48)
    similarities, images = find_among_themselves(rows, k, tile)
    want = [twin.ranking(row, i, rows)[:k] for i, row in enumerate(rows.double())]
    assert images.tolist() == want
    cosine = (rows[:, None] * rows[images.long()]).sum(dim=2)
    torch.testing.assert_close(similarities, cosine, atol=1e-6, rtol=0)
    assert (similarities.dtype, images.dtype) == (torch.float32, torch.int32)


@pytest.mark.usefixtures('dense')
@pytest.mark.parametrize('k', [3, 90])
def test_lists_that_overflow_lose_no_neighbour(k):
    # Ever nearer images come last: each tile raises every bound and fills the lists.
    angles = torch.linspace(0, 1.5, 400).double().square()
    rows = torch.stack([angles.cos(), angles.sin()], dim=1).float()
    queries = range(0, 400, 57)
    _, images = find_among_themselves(rows, k, tile=40)
    similarities = rows.double() @ rows.double().T
    for i in queries:
        row = similarities[i].clone()
        row[i] = -2
        found = row[images[i].long()]
        torch.testing.assert_close(found, row.topk(k).values, atol=1e-6, rtol=0)
        assert len(images[i].unique()) == k


@pytest.mark.usefixtures('dense')
@pytest.mark.parametrize('tile', [3, 16, 100])
def test_copies_of_a_query_come_first_and_never_the_query_itself(tile):
    rows = torch.eye(4)[torch.arange(40) % 2]  # two directions, 20 times each
    similarities, images = find_among_themselves(rows, 22, tile)
    for i, found in enumerate(images.tolist()):
        assert sorted(found[:19]) == [j for j in range(40) if j != i and j % 2 == i % 2]
        assert len(set(found)) == 22
    assert similarities[:, :19].eq(1).all() and similarities[:, 19:].eq(0).all()


def test_threads_change_nothing():
    rows, threads = unit_rows(300, 16), torch.get_num_threads()
    want = find_among_themselves(rows, 9, tile=32)
    torch.set_num_threads(4)
    try:
        got = find_among_themselves(rows, 9, tile=32)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(want[0], got[0]) and torch.equal(want[1], got[1])


def test_each_pair_is_compared_once(monkeypatch):
    offered = []

    class Spy(CandidateLists):
        def offer(self, start, tile, first):
            offered.extend((start + i, first + j) for i, j in np.ndindex(tile.shape))
            super().offer(start, tile, first)

    monkeypatch.setattr(symmetric, 'CandidateLists', Spy)
    find_among_themselves(unit_rows(23), 2, tile=5)
    assert sorted(offered) == [(i, j) for i in range(23) for j in range(23)]


def test_keys_order_as_similarities_do():
    values = np.float32([-1, -0.3, -1e-39, -0.0, 0, 1e-39, 0.3, 1])
    rows = np.arange(8)
    keys = pack(values, rows)
    assert keys.argsort().tolist() == [0, 1, 2, 4, 3, 5, 6, 7]  # of the zeros the higher row
    got, back = unpack(keys)
    assert got.tolist() == values.tolist() and back.tolist() == rows.tolist()


def test_own_gallery_is_searched_in_pairs_and_another_is_not(monkeypatch):
    calls = []
    monkeypatch.setattr(
        'dva_mm.evaluation.knn.find_among_themselves',
        lambda *a, **_: calls.append(a) or find_among_themselves(*a),
    )
    rows = unit_rows(30)
    for gallery, own, expected in ((rows, True, 1), (rows, False, 0), (rows.clone(), True, 0)):
        calls.clear()
        got = CosineKNN(chunk_size=8)(rows, 3, gallery, own)[1]
        assert len(calls) == expected
        assert got.tolist() == CosineKNN('torch')(rows, 3, gallery, own)[1].tolist()
    CosineKNN()(rows[:10], 3, rows, True)  # the queries begin a larger gallery
    assert not calls
