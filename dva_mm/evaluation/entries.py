"""What the ranks collected: put in order, freed of padding, and checked."""

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor


def order_entries(results: list[dict], size: int | None, unique: bool = False) -> list[dict]:
    """Put the collected entries in the order of the data set, each image once.

    An image is known by its ``sample_idx`` and ``img_path``: the parts of a concatenated data set
    each count from 0. If an index is None, the first ``size`` entries are taken as they come:
    MMEngine's samplers pad at the end. Fewer images than ``size`` are logged as a warning. With
    ``unique``, two images that share an index raise ValueError.

    >>> order_entries([dict(sample_idx=i, img_path=f'{i}.jpg') for i in (1, 0, 1)], size=2)
    [{'sample_idx': 0, 'img_path': '0.jpg'}, {'sample_idx': 1, 'img_path': '1.jpg'}]
    """
    if any(entry['sample_idx'] is None for entry in results):
        entries = results[:size]
    else:
        images = {(e['sample_idx'], str(e['img_path'])): e for e in reversed(results)}
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
    """Raise ValueError if embeddings (N, C) of these images hold NaN, infinity or only zeros."""
    largest = torch.linalg.vector_norm(embeddings, ord=torch.inf, dim=1)  # (N,)
    bad = (~largest.isfinite() | (largest == 0)).nonzero().flatten()
    if len(bad):
        raise ValueError(
            f'{len(bad)} of {len(entries)} embeddings hold NaN or infinity or are all zero, '
            f'the first is that of {path_of(entries[bad[0]])}: '
            'check the weights, the learning rate and the precision'
        )


def path_of(sample: dict) -> str:
    """Name of an image in a message."""
    return repr(sample.get('img_path') or 'an image of unknown path')
