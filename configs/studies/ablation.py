# Table 3: DVA with and without each of its parts: DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'ablation_{{$DATA:flowers}}'
description = """Parts of DVA on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs. OPA without a
background adds the object's view alone."""
_three, _boxes = _base_._three, _base_._boxes
options = {_base_._lr: _base_._dva_rate}
_off = {'model.head.beta': 0.0}
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    'ICA': dict(config=_base_._one),
    'ICA, OPA without background': dict(
        config=_three, options={**_boxes, **_off, 'model.head.background': 'none'}
    ),
    'ICA, OPA': dict(config=_three, options={**_boxes, **_off}),
    'ICA, OPA without background, DPT': dict(
        config=_three, options={**_boxes, 'model.head.background': 'none'}
    ),
    'DVA': dict(config=_three, options=_boxes),
}
baseline = 'ICA'
