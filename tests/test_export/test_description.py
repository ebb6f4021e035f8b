import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from dva_mm.export.description import describe, find_normalization, find_size


@pytest.mark.parametrize('to_rgb', [True, False])
def test_the_normalization_is_the_preprocessors(make, to_rgb):
    model = make(tuning='none').model
    config = dict(type='SelfSupDataPreprocessor', mean=[1.0, 20.0, 30.0], std=[4.0, 5.0, 6.0])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model.data_preprocessor = MODELS.build(config | dict(to_rgb=to_rgb))
    found = find_normalization(model)
    assert found == dict(
        channels='RGB' if to_rgb else 'BGR', mean=config['mean'], std=config['std']
    )


def test_a_preprocessor_that_does_more_is_named(make):
    class Squares(torch.nn.Module):
        def forward(self, data):
            return dict(inputs=data['inputs'].float() ** 2)

    model = make(tuning='none').model
    model.data_preprocessor = Squares()
    with pytest.raises(ValueError, match='Squares'):
        find_normalization(model)


def test_a_pipeline_without_one_size_is_refused():
    with pytest.raises(ValueError, match='CenterCrop'):
        find_size([dict(type='LoadImage'), dict(type='PackInputs')])


def test_steps_are_named_and_unknown_ones_stay(make):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=40, backend='pillow', interpolation='bicubic'),
        dict(type='Resize', scale=(36, 34)),
        dict(type='CenterCrop', crop_size=(32, 32)),
        dict(type='RandomFlip', prob=0.0),
        dict(type='PackInputs'),
    ]
    steps = describe(make(tuning='none', pipeline=pipeline))['preprocessing']
    edge, sides, crop, unknown = steps[1:5]
    assert edge == dict(
        step='resize', shorter_edge=40, rounding='down', interpolation='bicubic', antialias=True
    )
    assert sides == dict(
        step='resize', width=36, height=34, interpolation='bilinear', antialias=False
    )
    assert crop == dict(step='center_crop', height=32, width=32)
    assert unknown == dict(step='RandomFlip', prob=0.0)


def test_a_pipeline_of_more_than_plain_values_is_refused(make):
    retriever = make(tuning='none')
    retriever.pipeline = [dict(type='LoadImage'), dict(type=np.ndarray)]
    with pytest.raises(ValueError, match='ndarray'):
        describe(retriever)
