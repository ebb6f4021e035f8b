"""The neck Whitening against its formula, value by value."""

import math

import numpy as np
import pytest
import torch

from dva_mm.models import DVARetriever, Whitening, pca_whitening

POWERS = [0.0, 0.5, 1.0]


def fitted(z: np.ndarray, power: float) -> Whitening:
    neck = Whitening(z.shape[1], power).eval()
    neck.fit(torch.from_numpy(z.sum(axis=0)), torch.from_numpy(z.T @ z), len(z))
    return neck


def unit_rows(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    z = rng.normal(size=(rows, width)) * np.linspace(1, 4, width) + 1
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@pytest.mark.parametrize('power', POWERS)
def test_whitening_is_that_of_the_definition(power: float):
    rng = np.random.default_rng(0)
    z, new = unit_rows(rng, 50, 5), rng.normal(size=(4, 5))
    variances, directions = np.linalg.eigh(np.cov(z.T, bias=True))
    wanted = []
    for x in new:  # one direction of variance at a time
        x = x / np.linalg.norm(x) - z.mean(axis=0)
        parts = [(x @ v) * v for v in directions.T]
        wanted.append(
            sum(part * s ** (-power / 2) for part, s in zip(parts, variances, strict=True))
        )
    found = fitted(z, power)(torch.tensor(new).float())
    np.testing.assert_allclose(found, np.array(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('power', POWERS)
def test_variances_of_the_fitted_embeddings_are_of_the_power(power: float):
    z = unit_rows(np.random.default_rng(1), 80, 6)
    white = fitted(z, power)(torch.from_numpy(z).float()).numpy()
    before, after = (np.linalg.eigvalsh(np.cov(rows.T, bias=True)) for rows in (z, white))
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(after, before ** (1 - power), rtol=1e-3)


def test_a_direction_without_variance_is_not_blown_up():
    matrix = pca_whitening(torch.diag(torch.tensor([4.0, 0.0])), power=1.0, floor=0.25)
    assert torch.allclose(matrix, torch.diag(torch.tensor([0.5, 1.0])))
    assert pca_whitening(torch.zeros(3, 3)).isfinite().all()


def test_losses_see_the_encoder_and_retrieval_the_whitened_embedding():
    backbone = dict(type='FrozenViT', arch='test_vit', pretrained=False, img_size=32)
    head = dict(type='DVAHead', num_classes=3)
    model = DVARetriever(backbone, head, neck=dict(type='Whitening', power=1.0))
    images = torch.randn(9, 3, 32, 32)
    x = model.backbone(images)[0]
    assert torch.equal(model.train().extract_feat(images), x)
    unfitted = model.eval()(images)
    torch.testing.assert_close(unfitted, torch.nn.functional.normalize(x, dim=1))
    z = unfitted.double()
    model.neck.fit(z.sum(dim=0), z.T @ z, len(z))
    whitened = model.neck(model.backbone(images))
    torch.testing.assert_close(whitened.mean(dim=0), torch.zeros(64), atol=1e-3, rtol=0)
    assert model.neck.half()(x.half()).dtype == torch.float32
    model.neck.float()
    assert not torch.allclose(model(images), unfitted, atol=0.1)
    assert torch.equal(model.train().extract_feat(images), x)


def test_one_image_or_a_value_that_is_not_finite_cannot_be_fitted():
    neck = Whitening(2)
    for total, count in (([1.0, 0.0], 1), ([math.nan, 0.0], 9)):
        with pytest.raises(ValueError, match=str(count)):
            neck.fit(torch.tensor(total), torch.eye(2), count)
    assert torch.equal(neck.matrix, torch.eye(2))


@pytest.mark.parametrize('options', [dict(in_channels=0), dict(in_channels=4, power=1.5)])
def test_a_wrong_option_is_refused(options: dict):
    with pytest.raises(ValueError, match='0|1.5'):
        Whitening(**options)
