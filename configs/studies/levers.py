# What else might help DVA, and full fine-tuning with its views: one change at a time, tried on
# held-out training classes. DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'levers_{{$DATA:flowers}}'
description = """Changes of three views on {{$DATA:flowers}}, one at a time: DeiT-Tiny at 128 px, 5
epochs."""
_ways, _lr = _base_._ways, _base_._lr
_ica = {**_ways['ICA plus'][0], **_base_._boxes, _lr: 2e-3}
_full = {**_ways['full fine-tuning'][0], **_base_._boxes, _lr: 1e-4}
_opa, _pack = (f'train_dataloader.dataset.pipeline.{step}' for step in _base_._opa_and_pack)
# A value that is itself a list stands in a list: a grid tries each of a list's values.
_with_box = {f'{_pack}.algorithm_keys': [('has_background', 'box')]}
_swap = {'model.background_swap': 0.5, **_with_box}
_steps = [dict(type='ResizeAntialiased', scale=(96, 96)), dict(type='RandomCropFlip', size=96)]
_small = {f'{_opa}.discriminative': [_steps], 'model.backbone.dynamic_img_size': True}
_class_token = {'model.backbone.pooling': 'cls', 'model.neck': None}


def _levers(embedding):
    return [
        {'model.head.beta': 1.0},  # as it is
        _swap,
        embedding,
        {**embedding, **_swap},
        {f'{_opa}.scale': [(1.0, 1.6)], f'{_opa}.shift': 0.1},
        _small,
        {'model.head.dpt.momentum': 0.99},
        {'model.head.dpt.patches': 1.0, **_with_box},
    ]


rows = {
    'ICA plus, three views': dict(config=_base_._three, options=_ica, grid=_levers(_class_token)),
    'full fine-tuning, three views': dict(
        config=_base_._three, options=_full, grid=_levers(_base_._embedding)
    ),
}
search = dict(val_classes=_base_._held_out)
seeds = [0]
