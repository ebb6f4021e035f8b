# Table 9: what is kept of the encoder: trained on DATA=flowers, cars or planted, tested on all.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'kept_{{$DATA:flowers}}'
description = """Trained on {{$DATA:flowers}}, tested on the test classes of all three sets:
DeiT-Tiny at 128 px, 5 epochs, one view unless named."""
tests = {
    'flowers': {'data_root': '{{$FLOWERS:data/flowers}}', 'reader': 'folder'},
    'cars': {'data_root': '{{$CARS:data/cars}}', 'reader': 'folder'},
    'planted': {'data_root': '{{$PLANTED:data/planted}}', 'reader': 'csv'},
}
_lora, _full = (_base_._ways[_way][0] for _way in ('LoRA', 'full fine-tuning'))
_lr = _base_._lr
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    'ICA': dict(config=_base_._one),
    'DVA': dict(config=_base_._three, options=_base_._boxes),
    'LoRA': dict(config=_base_._one, options={**_lora, _lr: 3e-3}),
    'full fine-tuning': dict(config=_base_._one, options={**_full, _lr: 1e-4}),
}
metrics = ['Recall@1', *(f'{test}/Recall@1' for test in ('flowers', 'cars', 'planted'))]
baseline = 'frozen'
