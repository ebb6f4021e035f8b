import numpy as np
import pytest

from dva_mm.visualization import answers as module
from dva_mm.visualization.answers import find_answers


def unit(rows, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(query, label, gallery, labels, own):
    """Places, the nearest first, and the rank of the first right one, by sorting."""
    others = [place for place in range(len(gallery)) if place != own]
    order = sorted(others, key=lambda place: -float(query @ gallery[place]))
    ranks = [
        rank for rank, place in enumerate(order, start=1) if label >= 0 and labels[place] == label
    ]
    return order, min(ranks, default=None)


def in_blocks(gallery):
    """The gallery in unequal blocks, out of order."""
    order = np.random.default_rng(3).permutation(len(gallery))
    return lambda: ((places, gallery[places]) for places in np.split(order, [3, 20, 37]))


@pytest.mark.parametrize('blocks', [False, True])
@pytest.mark.parametrize('among', [True, False])
def test_answers_are_a_full_sort(among, blocks, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', 7)
    gallery = unit(40, seed=0)
    labels = np.random.default_rng(1).integers(-1, 9, 40)
    labels[3] = 20  # alone in its class
    queries, asked = (gallery, labels) if among else (unit(9, seed=2), np.arange(9) - 1)
    own = list(range(40)) if among else None
    given = in_blocks(gallery) if blocks else gallery
    found = find_answers('x', queries, given, asked, labels, k=5, own=own)
    for place, query in enumerate(queries):
        mine = place if among else None
        order, first = by_hand(query, asked[place], gallery, labels, mine)
        assert found.hits[place] == order[:5]
        assert found.scores[place] == pytest.approx([float(query @ gallery[p]) for p in order[:5]])
        assert found.first[place] == first


def test_among_equal_scores_what_is_shown_decides():
    gallery = np.ones((40, 1), np.float32)
    labels = [0, *[1] * 19, 2, *[1] * 17, 2, 0]
    found = find_answers('x', gallery, gallery, labels, labels, k=3, own=list(range(40)))
    for query, (hits, first) in enumerate(zip(found.hits, found.first, strict=True)):
        right = [rank for rank, hit in enumerate(hits, start=1) if labels[hit] == labels[query]]
        assert first == min(right, default=4)


def test_fewer_hits_where_the_gallery_is_small():
    found = find_answers('x', unit(3, 0), unit(3, 0), [0] * 3, [0] * 3, k=8, own=[0, 1, 2])
    assert [len(hits) for hits in found.hits] == [2, 2, 2]
