"""What can be drawn without replacement, and drawing it (pure functions)."""

import numpy as np


def count_steps(counts: np.ndarray, per_step: int) -> int:
    """How many steps can each take one item from each of ``per_step`` different bins.

    A bin serves a step at most once, so T steps need sum_c min(counts_c, T) >= per_step * T.
    ``draw_steps`` shows that this is enough. The sum is concave in T, hence the binary search.

    Args:
        counts: Items in each bin, (C,).
        per_step: Different bins in a step.
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
        bin are numbered from 0; those that rest are its last.
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


def count_triplets(counts: np.ndarray) -> int:
    """How many triplets (two images of a class, one of another) there are without a shared image.

    A triplet needs three images, a pair within a class, and an image outside the largest class.
    No more is needed: see ``draw_triplets``.

    Args:
        counts: Images of each class, (C,).
    """
    total = counts.sum()
    return int(min(total // 3, (counts // 2).sum(), total - counts.max(initial=0)))


def draw_triplets(
    counts: np.ndarray, num_triplets: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the classes of triplets that share no image.

    Args:
        counts: Images of each class, (C,).
        num_triplets: Number of triplets N, at most ``count_triplets(counts)``.
        rng: Random numbers.

    Returns:
        The class of the anchors and positives, and the class of the negatives, both (N,).
    """

    def draw(units: np.ndarray, total: int) -> np.ndarray:
        return rng.multivariate_hypergeometric(units, total, method='count')

    # A class with x pairs has min(count - 2x, N - x) negatives for the pairs of other classes.
    most = np.minimum(counts // 2, num_triplets)
    pairs = draw(most, num_triplets)
    short = num_triplets - np.minimum(counts - 2 * pairs, num_triplets - pairs).sum()
    if short > 0:
        # A class of more than N images gives its first pairs for one negative each, all others
        # cost two. Moving a pair from the latter to the former wins a negative.
        cheap = np.clip(counts - num_triplets, 0, most)
        moved = draw(np.maximum(pairs - cheap, 0), short)
        pairs = pairs - moved + draw(np.maximum(cheap - pairs, 0), short)
    singles = draw(np.minimum(counts - 2 * pairs, num_triplets - pairs), num_triplets)
    positive = rng.permutation(np.repeat(np.arange(len(counts)), pairs))
    negative = rng.permutation(np.repeat(np.arange(len(counts)), singles))
    # Class c is on at most N of the 2N places, so a triplet of c alone finds one without c.
    for row in np.flatnonzero(positive == negative):
        label = positive[row]
        if negative[row] != label:  # an earlier exchange has mended it
            continue
        other = rng.choice(np.flatnonzero((positive != label) & (negative != label)))
        negative[row], negative[other] = negative[other], label
    return positive, negative
