"""What the ranks collected: put in order, freed of padding, and checked."""

import logging

from mmengine.logging import print_log
from torch import Tensor

ROWS = 4096  # embeddings checked at a time


def order_entries(results: list[dict], size: int | None, unique: bool = False) -> list[dict]:
    """Put the collected entries in the order of the data set, each image once.

    An image is known by its ``sample_idx`` and ``img_path``: the parts of a concatenated data set
    each count from 0. If an entry lacks its index, the first ``size`` are taken as they come,
    which is right for MMEngine's samplers, whose padding comes last. Fewer images than ``size``
    are logged as a warning.

    Args:
        results: Entries with ``sample_idx`` (or None) and ``img_path`` (or None), of all ranks.
        size: Images in the data set, or None if unknown.
        unique: Whether no two images may share an index. Default False.

    Raises:
        ValueError: If ``unique`` and two images share an index.
    """
    if any(entry['sample_idx'] is None for entry in results):
        entries = results[:size]
    else:
        images = {}
        for entry in results:
            images.setdefault((entry['sample_idx'], str(entry['img_path'])), entry)
        entries = [images[key] for key in sorted(images)]
        for first, second in zip(entries, entries[1:], strict=False):
            if unique and first['sample_idx'] == second['sample_idx']:
                raise ValueError(
                    f'sample_idx {first["sample_idx"]} stands for {path_of(first)} and for '
                    f'{path_of(second)}: queries and gallery must come from one data set, '
                    'not from a concatenated one'
                )
    if size is not None and len(entries) < size:
        print_log(
            f'{len(entries)} of the {size} images of the data set were evaluated: check '
            'drop_last and the sampler of the dataloader',
            logger='current',
            level=logging.WARNING,
        )
    return entries


def check_embeddings(embeddings: Tensor, entries: list[dict]) -> None:
    """Refuse embeddings that have no direction.

    Args:
        embeddings: (N, C).
        entries: Their N entries, which name the images.

    Raises:
        ValueError: If an embedding holds NaN or infinity or is all zero.
    """
    bad = []
    for start, block in enumerate(embeddings.split(ROWS)):
        wrong = ~block.isfinite().all(dim=1) | (block == 0).all(dim=1)
        bad += (start * ROWS + wrong.nonzero().flatten()).tolist()
    if bad:
        raise ValueError(
            f'{len(bad)} of {len(entries)} embeddings hold NaN or infinity or are all zero, '
            f'the first is that of {path_of(entries[bad[0]])}: '
            'check the weights, the learning rate and the precision'
        )


def path_of(sample: dict) -> str:
    """Name of an image in a message."""
    return repr(sample.get('img_path') or 'an image of unknown path')


def tensor_of(sample: dict, key: str) -> Tensor:
    """A tensor of a data sample; a ValueError names the image and what is missing."""
    if not isinstance(sample.get(key), Tensor):
        raise ValueError(
            f'the data sample of {path_of(sample)} has no tensor {key!r} (it has '
            f'{sorted(sample)}): RetrievalMetric needs labelled test images and a model whose '
            'predict mode sets the embedding'
        )
    return sample[key]
