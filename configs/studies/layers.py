# Which layers to adapt beside Q, K and V, and other ways of training with the same embedding and
# warm-up: DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'layers_{{$DATA:flowers}}'
description = """Adapters of rank 64, unless said otherwise, on {{$DATA:flowers}}: DeiT-Tiny at
128 px, 5 epochs, the first of them a warm-up; class token and mean of the patches, whitened by the
training classes, also of full fine-tuning."""
_all, _lora = _base_._ways['ICA plus, all layers'][0], _base_._ways['LoRA plus, all layers'][0]
_of_block = _lora[_base_._tuning]['target_modules']
_options = {
    'ICA on Q, K and V': _base_._ways['ICA plus'][0],
    'ICA on Q, K, V and beside the MLP': _base_._ways['ICA plus, MLP'][0],
    'ICA on all linear layers': _all,
    'ICA of rank 16 on all linear layers': _base_._ways['ICA plus, all layers, rank 16'][0],
    **{
        f'LoRA on {label}': {
            **_lora,
            _base_._tuning: {**_lora[_base_._tuning], 'target_modules': layers},
        }
        for label, layers in {
            'Q, K and V': _of_block[:1],
            'all of the attention': _of_block[:2],
            'all linear layers': _of_block,
        }.items()
    },
}
for _way in ('LoRA', 'VPT deep', 'AdaptFormer', 'full fine-tuning'):
    _options[f'{_way} of rank 8' if _way == 'LoRA' else _way] = _base_._ways[f'{_way} plus'][0]
_rates = {
    'VPT deep': [4e-3, 8e-3, 1.6e-2],
    'AdaptFormer': [4e-3, 8e-3, 1.6e-2],
    'full fine-tuning': [1e-4, 2e-4, 4e-4],
}
_views = {'': (_base_._one, {}), ', three views': (_base_._three, _base_._boxes)}
rows = {
    f'{label}{views}': dict(
        config=config,
        options={**options, **more, 'param_scheduler': _base_._warm_up},
        grid={_base_._lr: _rates.get(label, [1e-3, 2e-3, 4e-3])},
    )
    for label, options in _options.items()
    for views, (config, more) in _views.items()
}
search = dict(val_classes=_base_._held_out)
metrics = ['Recall@1', 'Recall@8', 'trainable']
baseline = 'full fine-tuning'
