"""Embeddings of OPA's three views, made of images or of the patch tokens of one image."""

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from .background_swap import swap_by_samples
from .frozen_vit import FrozenViT
from .gather import take_rows


def embed_views(
    model: nn.Module, views: Sequence[Tensor], samples: list[DataSample], kept: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Embed the original and the discriminative views (B, C) and some background views (B', C).

    Args:
        model: A :class:`DVARetriever`; its ``background_swap`` is done before.
        views: The three, each (B, 3, H, W); the discriminative one may be of another size.
        samples: One per image.
        kept: Indices of the B' background views to embed.

    Raises:
        ValueError: There are not three views.
    """
    original, discriminative, background = _prepare(model, views, samples, kept)
    if original.shape == discriminative.shape:
        images = torch.cat([original, discriminative, background])  # (2B + B', 3, H, W)
        return model.extract_feat(images).split([len(samples), len(samples), len(kept)])
    z, z_b = model.extract_feat(torch.cat([original, background])).split([len(samples), len(kept)])
    return z, model.extract_feat(discriminative), z_b


def embed_views_and_regions(
    model: nn.Module, views: Sequence[Tensor], samples: list[DataSample], kept: list[int]
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """As :func:`embed_views`, and means of patch tokens (B'', C) of the B'' objects in sight.

    The last are those of each original view's patches inside of the object's box, and of all
    patches of its discriminative view.

    Raises:
        ValueError: As :func:`embed_views`; the samples have no ``box``, or the encoder is no
            FrozenViT.
    """
    if not isinstance(model.backbone, FrozenViT):
        raise ValueError(f'DPTLoss patches needs FrozenViT, got {type(model.backbone).__name__}')
    if 'box' not in samples[0]:
        raise ValueError(
            "DPTLoss patches needs 'box' in the data samples; add it to the algorithm_keys of "
            'PackInputs'
        )
    side = model.backbone.patch_size
    original, discriminative, background = _prepare(model, views, samples, kept)
    images = torch.cat([original, background])  # (B + B', 3, H, W)
    boxes = [None if sample.box is None else tuple(sample.box) for sample in samples]
    inside = patches_inside(boxes, original.shape[-2:], side)  # (B, P)
    in_sight = inside.any(dim=1).nonzero()[:, 0].tolist()
    regions = torch.cat([inside, inside.new_zeros(len(kept), inside.shape[1])])
    embeddings, means = model.extract_feat(images, regions=regions.to(images, non_blocking=True))
    z, z_b = embeddings.split([len(samples), len(kept)])
    height, width = discriminative.shape[-2:]
    everywhere = discriminative.new_ones(len(samples), (height // side) * (width // side))
    z_d, teacher = model.extract_feat(discriminative, regions=everywhere)
    return z, z_d, z_b, (take_rows(means, in_sight), take_rows(teacher, in_sight))


def patches_inside(
    boxes: Sequence[Sequence[float] | None], shape: Sequence[int], side: int
) -> Tensor:
    """Which patches' centres lie in a box: (B, P) bool, row by row; of no box none.

    Args:
        boxes: The box of each image, xyxy in pixels, or None.
        shape: Height and width of the images in pixels.
        side: Of a patch in pixels.

    >>> patches_inside([(0, 0, 16, 32), None], (32, 32), 16).int().tolist()
    [[1, 0, 1, 0], [0, 0, 0, 0]]
    """
    corners = torch.tensor([box or (0.0,) * 4 for box in boxes]).reshape(-1, 4, 1)
    x1, y1, x2, y2 = corners.unbind(1)
    rows, columns = (side * (torch.arange(length // side) + 0.5) for length in shape)
    inside_y, inside_x = (rows >= y1) & (rows < y2), (columns >= x1) & (columns < x2)
    return (inside_y[:, :, None] & inside_x[:, None]).flatten(1)


def has_token_views(samples: list[DataSample]) -> bool:
    """Whether TokenOPA chose patches; ValueError if they were left out of the data samples."""
    if 'object_patches' not in samples[0] and 'patch_grid' in samples[0]:
        raise ValueError(
            'data samples have a patch_grid but no object_patches; add them to the '
            'algorithm_keys of PackInputs'
        )
    return 'object_patches' in samples[0]


def embed_token_views(
    model: nn.Module, images: Tensor, samples: list[DataSample], kept: list[int]
) -> tuple[Tensor, Tensor]:
    """Embed the object's patches of all images (B, C) and the background's of some (B', C).

    Args:
        model: A :class:`DVARetriever` whose backbone takes ``patches``, as FrozenViT does.
        images: (B, 3, H, W).
        samples: One per image, with ``object_patches`` (n,), ``background_patches`` (n,) and
            ``patch_grid``.
        kept: Indices of the B' images whose background to embed.

    Raises:
        ValueError: The samples lack a field, or the encoder has another grid of patches.
    """
    names = ('background_patches', 'patch_grid')
    if lost := [name for name in names if name not in samples[0]]:
        raise ValueError(
            f'data samples have object_patches but no {lost}; add it to the algorithm_keys of '
            'PackInputs, as in configs/dva_deit_tiny_folder_tokens.py'
        )
    sides = getattr(model.backbone, 'patch_size', None)
    grid = sides and tuple(side // sides for side in images.shape[-2:])
    if grid != tuple(samples[0].patch_grid):
        raise ValueError(
            f'TokenOPA chose among {tuple(samples[0].patch_grid)} patches, and the encoder '
            f"{type(model.backbone).__name__} has {grid}; set its patch_size to the encoder's "
            f'({sides}), which must be a FrozenViT'
        )
    patches = [sample.object_patches for sample in samples]
    patches += [samples[i].background_patches for i in kept]
    images = torch.cat([images, take_rows(images, kept)])  # (B + B', 3, H, W)
    patches = torch.stack(patches).to(images.device, non_blocking=True)  # (B + B', n)
    return model.extract_feat(images, patches=patches).split([len(samples), len(kept)])


def _prepare(
    model: nn.Module, views: Sequence[Tensor], samples: list[DataSample], kept: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The views to embed: objects pasted on other backgrounds, background views dropped."""
    if len(views) != 3:
        raise ValueError(
            'DVARetriever trains on one view or on three (original, discriminative, background), '
            f'got {len(views)}'
        )
    original, discriminative, background = views
    if model.background_swap:
        original = swap_by_samples(original, background, samples, model.background_swap)
    return original, discriminative, take_rows(background, kept)
