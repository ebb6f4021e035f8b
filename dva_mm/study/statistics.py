"""Means and paired differences of runs, with their spread and bootstrap intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1; None of one value) and number of values."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        """Such as ``81.40 ± 1.20``."""
        return f'{self.mean:.2f}' + ('' if self.sd is None else f' ± {self.sd:.2f}')


class Difference(NamedTuple):
    """A paired difference to the baseline, with 95 % intervals over seeds, and classes as well."""

    mean: float
    n: int
    seeds: tuple[float, float] | None
    classes: tuple[float, float] | None


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation with n - 1, and number.

    >>> spread([1.0, 3.0])
    Spread(mean=2.0, sd=1.4142135623730951, n=2)
    """
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), sd, len(values))


def bootstrap_seeds(differences: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The percentile bootstrap's 95 % interval of a mean over seeds; None of one value.

    Efron, "Bootstrap methods: another look at the jackknife", 1979.

    >>> bootstrap_seeds([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_classes(
    hits: np.ndarray, images: np.ndarray, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of a difference of Recall@1, in points, over seeds and test classes.

    Args:
        hits: (seeds, classes) difference of the numbers of right first hits.
        images: (classes,) number of queries.
        seed: Of the resampling.

    >>> bootstrap_classes(np.array([[1, 1], [1, 1]]), np.array([10, 10]))
    (10.0, 10.0)
    """
    runs, classes = hits.shape
    if classes < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES // 5)
    for index in range(len(means)):
        drawn = rng.integers(classes, size=classes)
        of_runs = hits[rng.integers(runs, size=runs)].sum(axis=0)
        means[index] = 100 * of_runs[drawn].sum() / (runs * images[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def compare(runs: Sequence[dict], others: Sequence[dict], metric: str) -> Difference | None:
    """The difference of the runs of two rows, seed by seed; a frozen encoder pairs with each seed.

    None: no seed is in both, or the figure is missing.

    >>> a, b = ([dict(seed=s, metrics={'Recall@1': v + s})] for v, s in ((80.0, 0), (78.0, 0)))
    >>> compare(a, b, 'Recall@1').mean
    2.0
    """
    if _frozen(runs):
        pairs = [(runs[0], other) for other in others]
    else:
        by_seed, frozen = {run['seed']: run for run in others}, _frozen(others)
        pairs = [(run, frozen or by_seed.get(run['seed'])) for run in runs]
    pairs = [pair for pair in pairs if pair[1] and all(metric in r['metrics'] for r in pair)]
    if not pairs:
        return None
    values = [run['metrics'][metric] - other['metrics'][metric] for run, other in pairs]
    classes = None
    known = all(run.get('class_images') for pair in pairs for run in pair)
    if (
        metric == 'Recall@1'
        and known
        and len({tuple(r['class_images']) for p in pairs for r in p}) == 1
    ):
        hits = np.array([np.subtract(*(run['class_hits'] for run in pair)) for pair in pairs])
        classes = bootstrap_classes(hits, np.array(pairs[0][0]['class_images']))
    return Difference(float(np.mean(values)), len(pairs), bootstrap_seeds(values), classes)


def _frozen(runs: Sequence[dict]) -> dict | None:
    """The run of a frozen encoder, which has no seed to pair by; None of other rows."""
    return runs[0] if len(runs) == 1 and runs[0].get('seconds') is None else None
