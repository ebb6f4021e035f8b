"""A map over a grid of patches -> one box and how well the box holds the map."""

import cv2
import numpy as np

Box = tuple[float, float, float, float]


def map_box(
    saliency: np.ndarray, width: int, height: int, keep: float, smooth: bool = True
) -> tuple[Box, float]:
    """The box around the largest region of high values.

    The map is smoothed by a 3 x 3 median, which takes away single hot patches. The fewest cells
    that together hold ``keep`` of its mass stay; of their 4-connected regions the one with the most
    cells wins (of equal ones that with more mass), and the box is drawn around it on the cells'
    edges.

    Args:
        saliency: Map over the patch grid, (h, w), non-negative.
        width, height: Size in pixels of the image that the grid covers.
        keep: Share of the mass, in (0, 1).
        smooth: Take the median first; a map of which it leaves nothing is used as it is.
            Defaults to True.

    Returns:
        The box x1, y1, x2, y2 in pixels, and its score: :func:`contrast` of the map as given.

    Raises:
        ValueError: If ``keep`` is out of range, or the map is all zero, negative or not finite.

    >>> saliency = np.zeros((4, 4))
    >>> saliency[1:3, 2:] = 1
    >>> map_box(saliency, width=40, height=20, keep=0.9, smooth=False)
    ((20.0, 5.0, 40.0, 15.0), 1.0)
    """
    check_keep(keep)
    mass = saliency.astype(np.float32)
    if not np.isfinite(mass).all() or mass.min() < 0 or mass.max() == 0:
        raise ValueError(
            f'a map needs finite values from 0 on, and not 0 alone; got {mass.min()} to '
            f'{mass.max()}: check the weights of the encoder'
        )
    if smooth and (median := cv2.medianBlur(mass, 3)).any():
        mass = median
    mass = mass / mass.sum(dtype=np.float64)
    falling = np.argsort(-mass, axis=None, kind='stable')
    count = int(np.searchsorted(np.cumsum(mass.ravel()[falling]), keep)) + 1
    kept = np.zeros(mass.size, dtype=np.uint8)
    kept[falling[:count]] = 1
    regions, labels = cv2.connectedComponents(kept.reshape(mass.shape), connectivity=4)
    area = np.bincount(labels.ravel(), minlength=regions)
    held = np.bincount(labels.ravel(), weights=mass.ravel(), minlength=regions)
    best = max(range(1, regions), key=lambda region: (area[region], held[region]))
    rows, columns = np.nonzero(labels == best)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    inside = np.zeros(mass.shape, dtype=bool)
    inside[top:bottom, left:right] = True
    cell_height, cell_width = height / mass.shape[0], width / mass.shape[1]
    box = left * cell_width, top * cell_height, right * cell_width, bottom * cell_height
    return box, contrast(saliency, inside)


def contrast(saliency: np.ndarray, inside: np.ndarray) -> float:
    """How much less of a map lies outside a box than if it were spread evenly, in 0 to 1.

    ``max(0, 1 - m_out / m)``, with m_out the mean of the cells outside and m that of all; 0 for a
    box over the whole map. ``saliency`` is (h, w), non-negative, ``inside`` (h, w) bool.

    >>> contrast(np.array([[0, 6, 1, 1]]), np.array([[False, True, True, False]]))
    0.75
    """
    values = saliency.astype(np.float64)
    if inside.all():
        return 0.0
    return float(max(0.0, 1 - values[~inside].mean() / values.mean()))


def check_keep(keep: float) -> None:
    """Raise ValueError unless ``keep`` is a share.

    >>> check_keep(0.5)
    """
    if not 0 < keep < 1:
        raise ValueError(f'keep is a share of the map, between 0 and 1, got {keep}')
