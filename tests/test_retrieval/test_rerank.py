import numpy as np
import pytest

from dva_mm.retrieval.rerank import augment_gallery, expand_queries, k_reciprocal_distances


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
