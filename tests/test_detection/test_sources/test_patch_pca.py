"""The first principal component of the patches, against NumPy's eigenvectors."""

import numpy as np
import pytest
import torch

from dva_mm.detection.sources.patch_pca import first_component, patch_pca


def naive_component(features: np.ndarray) -> np.ndarray:
    """Of (h, w, D): projections on the covariance's first eigenvector, cut at 0."""
    height, width, depth = features.shape
    flat = features.reshape(-1, depth)
    flat = flat - flat.mean(axis=0)
    _, vectors = np.linalg.eigh(flat.T @ flat)
    grid = (flat @ vectors[:, -1]).reshape(height, width)
    shares, values = {'border': [], 'inside': []}, []
    for i in range(height):
        for j in range(width):
            edge = i in (0, height - 1) or j in (0, width - 1)
            shares['border' if edge else 'inside'].append(grid[i, j] > 0)
            values += [grid[i, j]] * edge
    border, inside = np.mean(shares['border']), np.mean(shares['inside'])
    if border > inside or (border == inside and sum(values) > 0):
        grid = -grid
    return np.maximum(grid, 0)


@pytest.mark.parametrize('shape', [(4, 4, 6), (5, 4, 3), (4, 6, 40)])
def test_the_component_is_the_first_eigenvector(shape: tuple[int, ...]):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, *shape, generator=generator, dtype=torch.float64)
    features[..., 0] *= 4
    features += 3  # the mean must not count
    found = first_component(features)
    for image in range(6):
        by_hand = torch.from_numpy(naive_component(features[image].numpy()))
        torch.testing.assert_close(found[image], by_hand)


@pytest.mark.parametrize('sign', [-1, 1])
def test_what_is_in_the_middle_is_positive(sign: int):
    features = torch.zeros(1, 6, 6, 2)
    features[0, 2:4, 2:4] = sign * torch.tensor([1.0, -2.0])
    found = first_component(features)[0]
    inside = torch.zeros(6, 6, dtype=torch.bool)
    inside[2:4, 2:4] = True
    assert (found > 0.5).equal(inside)
    assert found[~inside].max() == 0


@torch.no_grad()
def test_the_features_are_the_last_blocks_values(plain_encoder, arch: str | dict):
    encoder = plain_encoder(arch, 64)
    images = torch.randn(2, 3, 64, 64)
    seen = []
    attention = encoder.blocks[-1].attn
    handle = attention.qkv.register_forward_hook(lambda module, args, out: seen.append(out))
    encoder(images)
    handle.remove()
    side = 64 // encoder.encoder_info()['patch_size']
    width = encoder.embed_dims
    values = seen[0][:, 1:, 2 * width :].reshape(2, side, side, width)
    torch.testing.assert_close(patch_pca(encoder, images), first_component(values))
    assert not attention.qkv._forward_hooks


@torch.no_grad()
def test_no_class_token_is_needed(plain_encoder):
    encoder = plain_encoder('test_vit2', 64, pooling='avg')
    assert patch_pca(encoder, torch.randn(1, 3, 64, 64)).shape == (1, 4, 4)
