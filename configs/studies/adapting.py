# Table 2: ways of training the encoder, with one view and with three: DATA=flowers, cars, planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'adapting_{{$DATA:flowers}}'
description = """Ways of training the encoder on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs.
DVA is ICA with three views."""
_views = {'': (_base_._one, {}), ', three views': (_base_._three, _base_._boxes)}
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    **{
        f'{label}{views}': dict(config=config, options={**options, **more}, grid=grid)
        for label, (options, grid) in _base_._ways.items()
        for views, (config, more) in _views.items()
    },
}
search = dict(val_classes=_base_._held_out)
metrics = ['Recall@1', 'Recall@8', 'trainable', 'step_seconds', 'seconds', 'memory_mb']
baseline = 'full fine-tuning'
