import numpy as np
import pytest

from dva_mm.evaluation.rerank import RERANK, check_rerank, k_reciprocal_distances
from dva_mm.retrieval import Index


@pytest.fixture
def index(retriever, photos, tmp_path):
    return Index.build(retriever, photos, tmp_path / 'a.index', labels='folder', workers=0)


def expanded(row, gallery, n, alpha):
    """A vector drawn to the n nearest of a gallery, one by one."""
    scores = gallery @ row
    total = row.copy()
    for i in sorted(range(len(gallery)), key=lambda i: -scores[i])[:n]:
        total += max(scores[i], 0) ** alpha * gallery[i]
    return total / np.linalg.norm(total)


def rank_by(scores, ids):
    return [ids[i] for i in sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))]


@pytest.mark.parametrize(('n', 'alpha'), [(3, 0.0), (2, 3.0), (50, 3.0), (50, 0.0)])
@pytest.mark.parametrize('exclude_self', [False, True])
def test_expansion_equals_its_loop(index, n, alpha, exclude_self):
    rows = index.storage.vectors(range(12))
    others = list(range(12))
    others.remove(4) if exclude_self else None
    options = dict(k=12, exclude_self=exclude_self)
    hits = index.search(4, rerank=dict(type='AQE', n=n, alpha=alpha), **options)
    scores = rows[others] @ expanded(rows[4], rows[others], n, alpha)
    assert [hit.id for hit in hits] == rank_by(scores, others)
    assert np.allclose([hit.score for hit in hits], sorted(scores, reverse=True), atol=1e-5)


@pytest.mark.parametrize('n', [3, 50])
def test_augmentation_equals_its_loop_and_follows_changes(index, n):
    for _ in range(2):
        ids = sorted(index.storage.store.ids.tolist())
        rows = index.storage.vectors(ids)
        gallery = np.stack(
            [expanded(rows[i], np.delete(rows, i, 0), n, 3.0) for i in range(len(ids))]
        )
        hits = index.search(4, k=12, rerank=dict(type='DBA', n=n))
        scores = gallery @ rows[ids.index(4)]
        assert [hit.id for hit in hits] == rank_by(scores, ids)
        some = index.search(4, k=12, rerank=dict(type='DBA', n=n), where=dict(label='class_1'))
        assert [h.id for h in some] == [hit.id for hit in hits if hit.label == 'class_1']
        index.remove(ids=[7])


def test_k_reciprocal_re_ranks_the_candidates_alone(index):
    rows = index.storage.vectors(range(12))
    near = rank_by(rows @ rows[4], list(range(12)))
    near.remove(4)
    gallery = rows[near[:8]]
    cosines = (gallery @ rows[4])[None]
    one = np.ones((1, 1))
    distances = k_reciprocal_distances(cosines, one, gallery @ gallery.T, 3, 2, 0.3)[0]
    options = dict(type='KReciprocal', k1=3, k2=2, candidates=8)
    hits = index.search(4, k=11, exclude_self=True, rerank=options)
    assert [hit.id for hit in hits[:8]] == rank_by(-distances, near[:8])
    assert np.allclose([hit.score for hit in hits[:8]], sorted(1 - distances)[::-1], atol=1e-5)
    assert [hit.id for hit in hits[8:]] == near[8:]
    assert all(a.score > b.score for a, b in zip(hits[7:], hits[8:], strict=False))
    assert index.search(4, k=3, exclude_self=True, rerank=options) == hits[:3]


@pytest.mark.filterwarnings('ignore:.*absent')
@pytest.mark.parametrize('kind', RERANK)
def test_an_empty_search_stays_empty(index, kind):
    assert index.search(4, rerank=dict(type=kind), where=dict(label='absent')) == []
    index.remove(ids=range(12))
    assert index.search(np.ones(index.dims, np.float32), rerank=dict(type=kind)) == []


@pytest.mark.parametrize(
    ('rerank', 'named'),
    [
        (dict(type='AQEE'), 'AQE'),
        (dict(type='kreciprocal'), 'KReciprocal'),
        (dict(n=3), 'AQE, DBA, KReciprocal'),
        (dict(type='DBA', alfa=3), 'alpha'),
        (dict(type='AQE', n=0), '0'),
        (dict(type='AQE', n=2.5), '2.5'),
        (dict(type='AQE', alpha='3'), "'3'"),
        (dict(type='KReciprocal', weight=-1), '-1'),
    ],
)
def test_wrong_options_are_named(rerank, named):
    with pytest.raises(ValueError) as error:
        check_rerank(rerank)
    assert named in str(error.value)


@pytest.mark.parametrize('rerank', [None, *RERANK])
def test_min_score_is_of_the_score_that_is_ranked_by(index, rerank):
    hits = index.search(4, k=12, rerank=rerank)
    scores = [hit.score for hit in hits]
    assert len(set(scores)) == 12
    assert index.search(4, k=12, rerank=rerank, min_score=scores[5]) == hits[:6]
    cosines = {hit.id: hit.score for hit in index.search(4, k=12)}
    assert (scores == [cosines[hit.id] for hit in hits]) == (rerank is None)
