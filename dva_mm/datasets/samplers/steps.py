"""Steps that each take one item from several different bins (pure functions)."""

import numpy as np


def count_steps(counts: np.ndarray, per_step: int) -> int:
    """How many steps can each take one item from each of ``per_step`` different bins of ``counts``.

    A bin serves a step at most once, so T steps need sum_c min(counts_c, T) >= per_step * T;
    ``draw_steps`` shows that this is enough. The sum is concave in T, hence the binary search.

    >>> count_steps(np.array([4, 4, 1, 1, 1]), per_step=2)
    5
    """
    low, high = 0, int(counts.sum()) // per_step
    while low < high:
        middle = (low + high + 1) // 2
        enough = np.minimum(counts, middle).sum() >= per_step * middle
        low, high = (middle, high) if enough else (low, middle - 1)
    return low


def draw_steps(
    counts: np.ndarray, per_step: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Fill as many steps as there can be, at random and without replacement.

    Args:
        counts: Items in each bin, (C,).
        per_step: Different bins in a step.
        rng: Random numbers.

    Returns:
        The bins of each step, and which item each bin gives, both (T, per_step). The items of a
        bin are numbered from 0; those that are left over are its last.

    >>> bins, items = draw_steps(np.array([2, 2]), per_step=2, rng=np.random.default_rng(0))
    >>> bins.shape, items.tolist()
    ((2, 2), [[0, 0], [1, 1]])
    """
    num_steps = count_steps(counts, per_step)
    # What exceeds the steps rests, items drawn evenly from all bins.
    left = rng.multivariate_hypergeometric(
        np.minimum(counts, num_steps), per_step * num_steps, method='count'
    )
    bins = np.empty((num_steps, per_step), dtype=np.int64)
    items = np.empty_like(bins)
    # With s steps to go, no bin holds more than s items, and all hold s * per_step together. So at
    # most per_step bins hold s, and at least per_step hold one. Taking all of the former leaves
    # none with more than s - 1, and s - 1 steps: the same again, down to nothing.
    for step in range(num_steps):
        with np.errstate(divide='ignore'):  # an empty bin comes last
            turn = rng.standard_exponential(len(left)) / left  # the fuller, the sooner
        turn[left == num_steps - step] = -1.0
        # Sorted, as the partition's order differs between processors, and so maybe between ranks.
        chosen = np.sort(np.argpartition(turn, per_step - 1)[:per_step])
        bins[step] = rng.permutation(chosen)
        left[chosen] -= 1
        items[step] = left[bins[step]]
    order = rng.permutation(num_steps)  # or the steps that no bin may miss would come last
    return bins[order], items[order]
