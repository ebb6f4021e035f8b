# Table 4: choices where the paper is silent, one at a time: DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'choices_{{$DATA:flowers}}'
description = """Choices inside of DVA on {{$DATA:flowers}}, one changed at a time: DeiT-Tiny at
128 px, 5 epochs. DVA itself: background proxy, KL, GELU, rank 16, Q and K of all layers."""
options = {_base_._lr: _base_._rates['ICA']}
_tuning = _base_._tuning
_changes = {
    'DVA': {},
    'background: its class': {'model.head.background': 'class'},
    'background: none': {'model.head.background': 'none'},
    'DPT: squared L2': {'model.head.dpt.mode': 'l2'},
    'DPT: cosine': {'model.head.dpt.mode': 'cosine'},
    'linear adapter': {f'{_tuning}.act': None},
    'Q alone': {f'{_tuning}.targets': ('q',)},
    'K alone': {f'{_tuning}.targets': ('k',)},
    'V alone': {f'{_tuning}.targets': ('v',)},
    'Q, K and V': {f'{_tuning}.targets': ('q', 'k', 'v')},
    'the first half of the layers': {f'{_tuning}.layers': tuple(range(6))},
    'the second half of the layers': {f'{_tuning}.layers': tuple(range(6, 12))},
    **{f'rank {rank}': {f'{_tuning}.rank': rank} for rank in (4, 8, 32, 64, 128)},
}
rows = {
    label: dict(config=_base_._three, options={**_base_._boxes, **options})
    for label, options in _changes.items()
}
metrics = ['Recall@1', 'Recall@8', 'trainable']
baseline = 'DVA'
