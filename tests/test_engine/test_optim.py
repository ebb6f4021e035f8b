"""The optimiser holds what trains, at the learning rate that was asked for."""

import pytest
import torch.nn as nn
from mmengine.config import Config
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS

from dva_mm.engine.optim import check_schedule


def model() -> nn.ModuleDict:
    net = nn.ModuleDict(
        dict(body=nn.Linear(4, 4), neck=nn.Linear(4, 3, bias=False), head=nn.Linear(3, 2))
    )
    net['body'].requires_grad_(False)
    return net


def groups(net: nn.Module, weight_decay: float | None = None, **paramwise) -> dict[str, dict]:
    """The parameter group of each name."""
    optimizer = dict(type='SGD', lr=0.5)
    if weight_decay is not None:
        optimizer['weight_decay'] = weight_decay
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='TrainableOptimWrapperConstructor',
            optim_wrapper_cfg=dict(optimizer=optimizer),
            paramwise_cfg=paramwise or None,
        )
    )
    names = {parameter: name for name, parameter in net.named_parameters()}
    return {
        names[parameter]: group
        for group in constructor(net).optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('paramwise', [{}, dict(custom_keys={})])
def test_only_what_trains_is_optimised(paramwise: dict):
    found = groups(model(), **paramwise)
    assert set(found) == {'neck.weight', 'head.weight', 'head.bias'}
    assert {group['lr'] for group in found.values()} == {0.5}


def test_learning_rate_and_weight_decay_are_multiplied_by_the_longest_key():
    keys = {'head': dict(lr_mult=10, decay_mult=0.0), 'head.bias': dict(lr_mult=0.1)}
    found = groups(model(), weight_decay=0.2, custom_keys=keys)
    assert {name: (group['lr'], group['weight_decay']) for name, group in found.items()} == {
        'neck.weight': (0.5, 0.2),
        'head.weight': (5.0, 0.0),
        'head.bias': (0.05, 0.2),
    }


@pytest.mark.parametrize('key', ['body', 'head.proxies'])
def test_a_key_or_model_without_trainable_parameters_is_refused(key: str):
    with pytest.raises(ValueError, match=key):
        groups(model(), custom_keys={key: dict(lr_mult=2)})
    with pytest.raises(ValueError, match='model.backbone.tuning'):
        groups(model().requires_grad_(False))


def test_an_optional_key_may_match_nothing():
    found = groups(model(), custom_keys={'body': dict(lr_mult=2, optional=True)})
    assert {group['lr'] for group in found.values()} == {0.5}
    found = groups(model(), custom_keys={'neck': dict(lr_mult=2, optional=True)})
    assert found['neck.weight']['lr'] == 1.0


def test_other_options_are_refused_by_name():
    with pytest.raises(ValueError, match='norm_decay_mult'):
        groups(model(), weight_decay=0.1, norm_decay_mult=0.0)
    with pytest.raises(ValueError, match=r"'head'.*'lr'"):
        groups(model(), custom_keys=dict(head=dict(lr=2)))


@pytest.mark.parametrize(
    'schedules',
    [
        None,
        dict(type='CosineAnnealingLR', begin=4),
        dict(type='CosineAnnealingLR', begin=5, end=9),  # MMEngine leaves it out
        dict(type='CosineAnnealingLR', begin=9, by_epoch=False),
        [dict(type='LinearLR', end=1), dict(type='CosineAnnealingLR', begin=1)],
    ],
)
def test_schedules_that_can_begin_are_taken(schedules):
    check_schedule(Config(dict(train_cfg=dict(max_epochs=5), param_scheduler=schedules)))
    check_schedule(Config(dict(train_cfg=None, param_scheduler=schedules)))


def test_a_schedule_that_begins_after_the_end_is_named():
    schedules = [dict(type='LinearLR', end=5), dict(type='CosineAnnealingLR', begin=5)]
    with pytest.raises(ValueError, match='scheduler 1 .*Cosine.*epoch 5.*max_epochs is 5'):
        check_schedule(Config(dict(train_cfg=dict(max_epochs=5), param_scheduler=schedules)))
