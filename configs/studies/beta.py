# Table 5, the paper's Figure 3: Recall@1 against beta: DATA=flowers, cars, planted or demo.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'beta_{{$DATA:flowers}}'
description = f"""The weight of DPT on {{$DATA:flowers}}: {_base_._training}."""
options = {_base_._lr: _base_._dva_rate}
rows = {
    f'beta {beta:g}': dict(
        config=_base_._three, options={**_base_._boxes, 'model.head.beta': beta}, x=beta
    )
    for beta in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0)
}
baseline = 'beta 0'
plot = dict(x_label='beta', title='The weight of DPT on {{$DATA:flowers}}')
