# Table 6: planted cars whose scene tells their class in training, never in the test: correlation
# 0, 0.5 and 1. PLANTED is a path before _000, _050 and _100:
# python tools/plant.py CARS FLOWERS --classes 98 --size 0.4 0.7 --correlation 0.5 \
#     --out data/planted_050
_base_ = ['_base_/planted.py', '_base_/ways.py']
name = 'clutter'
description = """Planted cars, whose scenes tell the class in training with a probability of 0, 0.5
or 1, and never in the test: DeiT-Tiny at 128 px, 5 epochs, true boxes for three views."""
_ica = {_base_._lr: _base_._rates['ICA']}
_full = {**_base_._ways['full fine-tuning'][0], _base_._lr: _base_._rates['full fine-tuning']}
_root = '{{$PLANTED:data/planted}}'
_kinds = {
    'ICA, one view': (_base_._one, _ica),
    'DVA': (_base_._three, {**_base_._boxes, **_ica}),
    'full fine-tuning, one view': (_base_._one, _full),
    'full fine-tuning, three views': (_base_._three, {**_base_._boxes, **_full}),
}
rows = {
    f'{label}, {correlation:g}': dict(
        config=config,
        options={
            **options,
            'data_root': _root + f'_{100 * correlation:03.0f}',
        },
        x=correlation,
        line=label,
    )
    for label, (config, options) in _kinds.items()
    for correlation in (0.0, 0.5, 1.0)
}
plot = dict(x_label='correlation of scene and class in training', title='Planted cars')
