"""The figures of single queries, against their naive twins."""

import numpy as np
import pytest
import reference_retrieval as twin
import torch

from dva_mm.evaluation import metrics

KS = (1, 2, 4, 8)


def rankings(seed: int, size: int = 30, gallery: int = 20) -> list[list[bool]]:
    """Whole rankings, each with at least one right answer; some have nothing but."""
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.05, 0.3, 0.8, 1.0], size=(size, 1))
    right = rng.random((size, gallery)) < shares
    right[np.arange(size), rng.integers(gallery, size=size)] = True
    return right.tolist()


@pytest.mark.parametrize('limit', [2**20, 30, 1])
@pytest.mark.parametrize('seed', range(3))
def test_values_of_each_query_are_those_of_the_naive_twin(seed, limit, monkeypatch):
    monkeypatch.setattr(metrics, 'MAX_ENTRIES', limit)  # in one part, in several, one by one
    right = rankings(seed)
    hits = torch.tensor(right)
    num_right = hits.sum(dim=1)
    got = {
        **{f'recall_at_{k}': metrics.recall_at_k(hits, k) for k in KS},
        'precision_at_1': metrics.precision_at_1(hits),
        'r_precision': metrics.r_precision(hits, num_right),
        'mean_average_precision_at_r': metrics.map_at_r(hits, num_right),
        'mean_reciprocal_rank': metrics.mrr(hits[:, : max(KS)]),
    }
    want = [twin.scores(row, KS) for row in right]
    for name, values in got.items():
        assert values.dtype == torch.float64
        assert values.tolist() == pytest.approx([row[name] for row in want], abs=1e-12), name


def test_no_more_hits_are_needed_than_right_answers():
    hits = torch.tensor(rankings(3))
    some = hits.sum(dim=1) <= 9
    right = hits.sum(dim=1)[some]
    for function in (metrics.r_precision, metrics.map_at_r):
        assert torch.equal(function(hits[some, :9], right), function(hits[some], right))
        with pytest.raises(ValueError, match='R = 20'):
            function(hits[:, :19], torch.full((30,), 20))


@pytest.mark.parametrize('function', [metrics.r_precision, metrics.map_at_r])
def test_without_a_right_answer_a_figure_at_r_is_nan(function):
    assert function(torch.zeros(2, 3, dtype=bool), torch.tensor([0, 2])).isnan().tolist() == [1, 0]
    assert function(torch.zeros(0, 3, dtype=bool), torch.zeros(0, dtype=int)).shape == (0,)
