"""The figures of retrieval, written slowly: one query and one gallery image at a time."""

from collections.abc import Sequence

import numpy as np


def ranking(query, own: int | None, gallery) -> list[int]:
    """Gallery rows by descending cosine to the query, in float64, its own row left out."""
    pairs = []
    for row, other in enumerate(gallery):
        if row != own:
            q, g = (np.asarray(vector, dtype=np.float64) for vector in (query, other))
            pairs.append((-float(q @ g) / float(np.sqrt((q @ q) * (g @ g))), row))
    return [row for _, row in sorted(pairs)]


def scores(right: Sequence[bool], ks: Sequence[int]) -> dict[str, float]:
    """Figures of one query, from whether each ranked gallery image is of its class."""
    r = sum(right)
    found = {f'recall_at_{k}': float(any(right[:k])) for k in ks}
    found['precision_at_1'] = float(right[0])
    found['r_precision'] = sum(right[:r]) / r
    average_precision = 0.0
    for i in range(r):
        if right[i]:
            average_precision += sum(right[: i + 1]) / (i + 1)
    found['mean_average_precision_at_r'] = average_precision / r
    first = right.index(True) + 1
    found['mean_reciprocal_rank'] = 1 / first if first <= max(ks) else 0.0
    return found


def figures(query, labels, ks, gallery=None, gallery_labels=None) -> dict[int, list[dict]]:
    """The scores of the answerable queries of each class, by class."""
    own_gallery = gallery is None
    if own_gallery:
        gallery, gallery_labels = query, labels
    by_class: dict[int, list[dict]] = {}
    for i, (vector, label) in enumerate(zip(query, labels, strict=True)):
        ranked = ranking(vector, i if own_gallery else None, gallery)
        right = [bool(gallery_labels[row] == label) for row in ranked]
        if any(right):
            by_class.setdefault(int(label), []).append(scores(right, ks))
    return by_class


def mean(rows: Sequence[dict], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def overall(by_class: dict[int, list[dict]], name: str) -> float:
    """Mean over all queries."""
    return mean([row for rows in by_class.values() for row in rows], name)


def per_class(by_class: dict[int, list[dict]], name: str) -> list[float]:
    """Means of the classes, by ascending label."""
    return [mean(by_class[label], name) for label in sorted(by_class)]
