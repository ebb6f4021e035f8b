# Table 9, last part: encoders between the pre-trained and the tuned one (WiSE-FT), trained on
# DATA=flowers, cars or planted and tested there and on cars. 0 is the pre-trained encoder, 1 the
# tuned one.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'interpolation_{{$DATA:flowers}}'
description = """Between the pre-trained (0) and the tuned encoder (1), trained on
{{$DATA:flowers}}, tested there and on cars: DeiT-Tiny at 128 px, 5 epochs."""
_shares = (0.0, 0.5, 1.0, 1.25)
_hook = 'default_hooks.interpolation'
_cars = {'data_root': '{{$CARS:data/cars}}', 'reader': 'folder'}
tests = {
    f'{prefix}{share:g}': {**options, _hook: dict(type='InterpolationHook', share=share)}
    for prefix, options in (('', {}), ('cars ', _cars))
    for share in _shares
}
_full, _lr = _base_._ways['full fine-tuning'][0], _base_._lr
rows = {
    'ICA': dict(config=_base_._one, options={_lr: 4e-3}),
    'full fine-tuning': dict(config=_base_._one, options={**_full, _lr: 2e-4}),
}
metrics = [f'{test}/Recall@1' for test in tests]
baseline = 'full fine-tuning'
