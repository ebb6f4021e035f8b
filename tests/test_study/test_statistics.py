"""Bootstrap intervals against all resamples there are."""

from itertools import product

import numpy as np

from dva_mm.study.statistics import bootstrap_classes, bootstrap_seeds


def test_the_interval_over_seeds_is_that_of_all_resamples():
    values = [2.0, -1.0, 3.0]
    means = [np.mean(drawn) for drawn in product(values, repeat=3)]
    exact = np.percentile(means, [2.5, 97.5], method='inverted_cdf')
    np.testing.assert_allclose(bootstrap_seeds(values), exact, atol=1e-9)
    assert bootstrap_seeds([1.0]) is None


def test_the_interval_over_seeds_and_classes_is_that_of_all_resamples():
    hits, images = np.array([[3, -1], [1, 0]]), np.array([10, 20])
    means = []
    for seeds, classes in product(product(range(2), repeat=2), repeat=2):
        right = sum(hits[s, c] for s in seeds for c in classes)
        means.append(100 * right / (2 * sum(images[c] for c in classes)))
    exact = np.percentile(means, [2.5, 97.5], method='inverted_cdf')
    np.testing.assert_allclose(bootstrap_classes(hits, images), exact, atol=1e-9)
