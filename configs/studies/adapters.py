# Table 4, second part: where ICA sits and how large it is, one change at a time, with one view:
# DATA=flowers, cars, planted or demo.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'adapters_{{$DATA:flowers}}'
description = f"""Adapters of ICA on {{$DATA:flowers}}, one view, one thing changed at a time:
{_base_._training}. ICA itself has rank 16 and GELU on Q and K of all layers."""
options = {_base_._lr: _base_._rates['ICA']}
_changes = {
    'ICA': {},
    'linear': {'act': None},
    'Q alone': {'targets': ('q',)},
    'K alone': {'targets': ('k',)},
    'V alone': {'targets': ('v',)},
    'Q, K and V': {'targets': ('q', 'k', 'v')},
    'the first half of the layers': {'layers': tuple(range(_base_._num_layers // 2))},
    'the second half of the layers': {
        'layers': tuple(range(_base_._num_layers // 2, _base_._num_layers))
    },
    **{f'rank {rank}': {'rank': rank} for rank in (4, 8, 32, 64, 128)},
}
rows = {
    label: dict(
        config=_base_._one,
        options={f'{_base_._tuning}.{name}': value for name, value in change.items()},
    )
    for label, change in _changes.items()
}
metrics = ['Recall@1', 'Recall@8', 'trainable']
baseline = 'ICA'
