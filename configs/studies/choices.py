# Table 4, first part: how background views are labelled and which distance DPT takes:
# DATA=flowers, planted or demo.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'choices_{{$DATA:flowers}}'
description = f"""Choices inside of DVA on {{$DATA:flowers}}, one changed at a time:
{_base_._training}. DVA itself has a background proxy and the KL divergence."""
options = {_base_._lr: _base_._dva_rate}
_changes = {
    'DVA': {},
    'background: its class': {'model.head.background': 'class'},
    'background: none': {'model.head.background': 'none'},
    'DPT: squared L2': {'model.head.dpt.mode': 'l2'},
    'DPT: cosine': {'model.head.dpt.mode': 'cosine'},
}
rows = {
    label: dict(config=_base_._three, options={**_base_._boxes, **change})
    for label, change in _changes.items()
}
baseline = 'DVA'
