# A first epoch of growing learning rates, for which larger ones may be taken: DATA=flowers, cars or
# planted; compare with the rows of the same names in adapting.py.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'warm_up_{{$DATA:flowers}}'
description = """One epoch of warm-up on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs, one view.
Plus: the embedding is class token and mean of the patches, whitened by the training classes; of ICA
also rank 64 on Q, K and V."""
_rates = {
    'ICA plus': [1e-3, 2e-3, 4e-3, 8e-3],
    'full fine-tuning plus': [1e-4, 2e-4, 4e-4, 8e-4],
}
rows = {
    f'{way}, warm-up': dict(
        config=_base_._one,
        options={**_base_._ways[way][0], 'param_scheduler': _base_._warm_up},
        grid={_base_._lr: rates},
    )
    for way, rates in _rates.items()
}
search = dict(val_classes=_base_._held_out)
metrics = ['Recall@1', 'Recall@8', 'trainable', 'step_seconds', 'seconds', 'memory_mb']
baseline = 'full fine-tuning plus, warm-up'
