# Table 9, last part: encoders between the pre-trained and the tuned one (WiSE-FT), trained on
# DATA=flowers, cars or planted and tested there and on cars. 0 is the pre-trained encoder, 1 the
# tuned one.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'interpolation_{{$DATA:flowers}}'
description = """Between the pre-trained (0) and the tuned encoder (1), trained on
{{$DATA:flowers}}, tested there and on cars: DeiT-Tiny at 128 px, 5 epochs."""
_shares = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_hook = 'default_hooks.interpolation'
_cars = {'data_root': '{{$CARS:data/cars}}', 'reader': 'folder'}
tests = {
    f'{prefix}{share:g}': {**options, _hook: dict(type='InterpolationHook', share=share)}
    for prefix, options in (('', {}), ('cars ', _cars))
    for share in _shares
}
rows = {
    way: dict(config=_base_._one, options={**_base_._ways[way][0], _base_._lr: rate})
    for way, rate in _base_._rates.items()
}
metrics = [f'{test}/Recall@1' for test in tests]
seeds = [0]
