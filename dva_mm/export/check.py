"""An exported file beside the model that it was made from."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .model import Normalization

BATCH_SIZES = (1, 2, 5)
MAX_DIFFERENCE = 1e-4
"""Of any value of an fp32 file's embeddings from torch's."""
MIN_COSINE = dict(fp32=0.999999, fp16=0.999, int8=0.9)
"""Of an embedding with torch's in float32."""


def compare(
    run: Callable[[Tensor], Tensor],
    reference: Callable[[Tensor], Tensor],
    description: dict[str, Any],
) -> dict[str, float]:
    """Embed drawn images by both, in batches of 1, 2 and 5.

    Args:
        run: The file's; normalised images (B, 3, H, W) -> (B, D).
        reference: The same of torch in float32.
        description: Of the file.

    Returns:
        ``max_difference`` of a value, ``min_cosine`` of an embedding, ``max_norm_error`` of a
        length from 1; NaN where an embedding is not finite.

    Raises:
        ValueError: If a batch comes out in another shape or type.
    """
    normalize = Normalization(**description['normalization'])
    rng = torch.Generator().manual_seed(0)
    found = []
    for count in BATCH_SIZES:
        coarse = torch.rand(count, 3, 8, 8, generator=rng)  # smooth, as pictures are
        pixels = 255 * F.interpolate(coarse, size=tuple(description['size']), mode='bilinear')
        images = normalize(dict(inputs=pixels.to(torch.uint8)))['inputs']
        with torch.inference_mode():
            seen, expected = run(images), reference(images)
        if seen.shape != expected.shape or seen.dtype != torch.float32:
            raise ValueError(
                f'the exported model gives {tuple(seen.shape)} of {seen.dtype} for a batch of '
                f'{count}, torch {tuple(expected.shape)}'
            )
        found.append((seen, expected))
    seen, expected = (torch.cat(rows) for rows in zip(*found, strict=True))
    return dict(
        max_difference=(seen - expected).abs().max().item(),
        min_cosine=F.cosine_similarity(seen, expected).min().item(),
        max_norm_error=(seen.norm(dim=1) - 1).abs().max().item(),
    )


def require_agreement(found: dict[str, float], precision: str) -> None:
    """Refuse what :func:`compare` found to differ.

    Raises:
        ValueError: If a value of fp32 differs by more than 1e-4, a cosine is below the precision's
            own, or a length is not 1.

    >>> require_agreement(dict(max_difference=2e-7, min_cosine=1.0, max_norm_error=1e-7), 'fp32')
    """
    exact = precision != 'fp32' or found['max_difference'] <= MAX_DIFFERENCE
    close = found['min_cosine'] >= MIN_COSINE[precision]
    if not (exact and close and found['max_norm_error'] <= MAX_DIFFERENCE):
        figures = ', '.join(f'{name} {value:.3g}' for name, value in found.items())
        raise ValueError(
            f'the exported model in {precision} disagrees with torch, and is not written: {figures}'
            + ('' if precision == 'fp32' else '; export it in fp32')
        )
