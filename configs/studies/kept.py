# Table 9: what is kept of the encoder: trained on DATA=flowers, cars or planted, tested on all.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'kept_{{$DATA:flowers}}'
_warmed = '; '.join(_base_._warm_rates)
description = f"""Trained on {{$DATA:flowers}}, tested on the test classes of all three sets:
DeiT-Tiny at 128 px, 5 epochs, one view. Plus: the embedding is class token and mean of the
patches, whitened by the training classes; of ICA also rank 64 on Q, K and V. Halfway: between the
pre-trained and the tuned encoder; prompts have no such middle. With a first epoch of warm-up:
{_warmed}."""
_sets = {
    'flowers': {'data_root': '{{$FLOWERS:data/flowers}}', 'reader': 'folder'},
    'cars': {'data_root': '{{$CARS:data/cars}}', 'reader': 'folder'},
    'planted': {'data_root': '{{$PLANTED:data/planted}}', 'reader': 'csv'},
}
_halfway = {'default_hooks.interpolation': dict(type='InterpolationHook', share=0.5)}
_tests = {**_sets, **{f'{name} halfway': {**_sets[name], **_halfway} for name in _sets}}
rows = {
    'frozen': dict(config=_base_._one, frozen=True, tests=_tests),
    **{
        way: dict(
            config=_base_._one,
            options={**_base_._ways[way][0], _base_._lr: rate},
            tests=_tests,
        )
        for way, rate in _base_._rates.items()
    },
    # A way that was tried with a warm-up as well takes that rate.
    **{
        way: dict(
            config=_base_._one,
            options={
                **_base_._ways[way][0],
                _base_._lr: rate,
                'param_scheduler': _base_._warm_up,
            },
            tests=_sets if way == 'VPT deep plus' else _tests,
        )
        for way, rate in _base_._warm_rates.items()
    },
}
metrics = [f'{test}/Recall@1' for test in _tests]
baseline = 'full fine-tuning'
