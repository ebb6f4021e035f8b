import numpy as np
import pytest
import torch

from dva_mm.evaluation import RetrievalMetric
from dva_mm.evaluation.rerank import (
    RerankedKNN,
    augment_gallery,
    expand_queries,
    k_reciprocal_distances,
)


def unit(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize('alpha', [0, 1, 3])
def test_expansion_equals_its_loop(alpha):
    rng = np.random.default_rng(0)
    queries, neighbours = unit(rng, 4, 6), unit(rng, 4, 3, 6)
    scores = np.einsum('qd,qnd->qn', queries, neighbours)
    found = expand_queries(queries, neighbours, scores, alpha)
    for q in range(4):
        total = queries[q].copy()
        for n in range(3):
            total += max(scores[q, n], 0.0) ** alpha * neighbours[q, n]
        assert np.allclose(found[q], total / np.sqrt((total**2).sum()))
    assert np.allclose(augment_gallery(queries, neighbours, scores, alpha), found)


def naive_k_reciprocal(cosines, queries, k1, k2, weight):
    count = len(cosines)
    d = np.array([[max(2 - 2 * cosines[i][j], 0) for j in range(count)] for i in range(count)])
    d = np.array([[d[j, i] / d[:, i].max() for j in range(count)] for i in range(count)])
    near = [sorted(range(count), key=lambda j, i=i: (d[i, j], j)) for i in range(count)]

    def reciprocal(i, k):
        return {j for j in near[i][: k + 1] if i in near[j][: k + 1]}

    v = np.zeros((count, count))
    for i in range(count):
        base = reciprocal(i, k1)
        members = set(base)
        for j in base:
            other = reciprocal(j, round(k1 / 2))
            if len(other & base) > 2 / 3 * len(other):
                members |= other
        total = sum(np.exp(-d[i, j]) for j in members)
        for j in members:
            v[i, j] = np.exp(-d[i, j]) / total
    smooth = np.array([sum(v[j] for j in near[i][:k2]) / k2 for i in range(count)])
    out = np.zeros((queries, count - queries))
    for q in range(queries):
        for g in range(queries, count):
            low = sum(min(a, b) for a, b in zip(smooth[q], smooth[g], strict=True))
            high = sum(max(a, b) for a, b in zip(smooth[q], smooth[g], strict=True))
            out[q, g - queries] = (1 - weight) * (1 - low / high) + weight * d[q, g]
    return out


@pytest.mark.parametrize(('k1', 'k2', 'weight'), [(6, 3, 0.3), (4, 1, 0.0), (20, 6, 1.0)])
def test_k_reciprocal_equals_its_loop(k1, k2, weight):
    rng = np.random.default_rng(1)
    rows = unit(rng, 24, 5)
    cosines = rows @ rows.T
    found = k_reciprocal_distances(
        cosines[:4, 4:], cosines[:4, :4], cosines[4:, 4:], k1, k2, weight
    )
    assert np.allclose(found, naive_k_reciprocal(cosines, 4, k1, k2, weight), atol=1e-5)


OPTIONS = (
    dict(type='AQE', n=3, alpha=2.0),
    dict(type='DBA', n=3, alpha=2.0),
    dict(type='KReciprocal', k1=5, k2=2, weight=0.4, candidates=8),
)


def naive_order(rerank, queries, gallery, own_gallery, k):
    """Rows of the k nearest of each query, by loops."""

    def nearest(vector, rows, left_out, n):
        order = [i for i in np.argsort(-(rows @ vector), kind='stable') if i != left_out]
        return order[:n]

    def drawn(vector, left_out):
        near = nearest(vector, gallery, left_out, rerank['n'])
        total = vector + sum(
            max(vector @ gallery[i], 0) ** rerank['alpha'] * gallery[i] for i in near
        )
        return total / np.linalg.norm(total)

    found = []
    for q, vector in enumerate(queries):
        own = q if own_gallery else None
        if rerank['type'] == 'AQE':
            found.append(nearest(drawn(vector, own), gallery, own, k))
        elif rerank['type'] == 'DBA':
            rows = np.array([drawn(row, i) for i, row in enumerate(gallery)])
            found.append(nearest(vector, rows, own, k))
        else:
            near = nearest(vector, gallery, own, rerank['candidates'])
            joint = np.vstack([vector[None], gallery[near]])
            options = [rerank[name] for name in ('k1', 'k2', 'weight')]
            distances = naive_k_reciprocal(joint @ joint.T, 1, *options)[0]
            found.append([near[i] for i in np.argsort(distances, kind='stable')][:k])
    return found


@pytest.mark.parametrize('rerank', OPTIONS, ids=lambda options: options['type'])
@pytest.mark.parametrize('own_gallery', [True, False])
def test_the_search_equals_its_loops(rerank, own_gallery):
    rng = np.random.default_rng(2)
    gallery = unit(rng, 30, 6)
    queries = gallery if own_gallery else unit(rng, 7, 6)
    scaled = torch.from_numpy(gallery * rng.uniform(0.5, 2, (30, 1)))
    asked = scaled if own_gallery else torch.from_numpy(queries)
    scores, rows = RerankedKNN(rerank)(asked, 4, scaled, own_gallery)
    assert rows.tolist() == naive_order(rerank, queries, gallery, own_gallery, 4)
    assert (scores.diff(dim=1) <= 1e-6).all()


def test_the_metric_ranks_by_it():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), 5)
    rows = unit(rng, 6, 8)[labels] + 0.5 * rng.normal(size=(30, 8))
    samples = [
        dict(embedding=torch.from_numpy(row).float(), gt_label=torch.tensor([label]), sample_idx=i)
        for i, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    figures = {}
    for rerank in (None, *OPTIONS):
        metric = RetrievalMetric(topk=1, include='mean_average_precision_at_r', rerank=rerank)
        metric.process(None, samples)
        figures[None if rerank is None else rerank['type']] = metric.evaluate(30)['retrieval/MAP@R']
    assert len(set(figures.values())) == 4 and figures['DBA'] > figures[None]
    with pytest.raises(ValueError, match='AQA'):
        RetrievalMetric(rerank=dict(type='AQA'))
