"""A map of embeddings in two dimensions, with the images at its points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .shown import sample

if TYPE_CHECKING:
    from .page import Section


LIMIT = 5000
"""Images that a map shows."""


def embedding_map(
    images: Sequence[Any],
    embeddings: Any,
    seed: int,
    limit: int = LIMIT,
    total: int | None = None,
) -> 'Section':
    """A map by t-SNE of openTSNE, of at most ``limit`` images.

    Args:
        images: :class:`~dva_mm.visualization.page.Shown`, N.
        embeddings: Unit-norm, (N, D).
        seed: Of the choice and of t-SNE.
        limit: Most images. Defaults to 5000.
        total: Number of images that these were drawn from already. Defaults to None: N.
    """
    from openTSNE import TSNE

    from .page import map_section

    chosen = sample(len(images), limit, seed)
    perplexity = min(30, max(1, (len(chosen) - 1) / 3))
    tsne = TSNE(perplexity=perplexity, metric='cosine', random_state=seed)
    points = tsne.fit(embeddings[chosen])
    text = (
        f'{len(chosen):,} of {total or len(images):,} images by t-SNE of their embeddings: near '
        'ones are alike, far distances say little. Point at one to see it.'
    )
    return map_section([images[i] for i in chosen], points, text=text)
