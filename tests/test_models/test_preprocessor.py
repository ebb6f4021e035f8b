"""The preprocessor computes what mmpretrain's does, and reads nothing from the device."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from no_waiting import Watch

from dva_mm.models import ViewsPreprocessor

SCALE = dict(mean=[10.0, 20.0, 30.0], std=[2.0, 3.0, 4.0])


@pytest.mark.parametrize('options', [{}, SCALE, dict(SCALE, to_rgb=True), dict(bgr_to_rgb=True)])
@pytest.mark.parametrize('views', [1, 3])
def test_it_is_mmpretrains(options: dict, views: int):
    pixels = [torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8) for _ in range(views)]
    data = dict(inputs=pixels if views > 1 else pixels[0], data_samples=[DataSample()] * 2)
    found = []
    mmpretrains = MODELS.build(dict(type='SelfSupDataPreprocessor', **options))
    for preprocessor in (mmpretrains, ViewsPreprocessor(**options)):
        with Watch() as watch:
            out = preprocessor(data, training=True)
        assert len(out['data_samples']) == 2
        found.append(out['inputs'] if views > 1 else [out['inputs']])
    assert not watch.found
    for want, got in zip(*found, strict=True):
        assert got.dtype == torch.float32 and torch.equal(got, want)
