# Table 2: ways of training the encoder, with one view and with three: DATA=flowers, cars, planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'adapting_{{$DATA:flowers}}'
description = """Ways of training the encoder on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs.
DVA is ICA with three views. Plus: the embedding is class token and mean of the patches, whitened by
the training classes; of ICA also rank 64 on Q, K and V."""
_views = {'': (_base_._one, {}), ', three views': (_base_._three, _base_._boxes)}
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    # One epoch of the proxies alone, at whose end the neck is fitted; no rate changes the figure.
    'frozen plus': dict(
        config=_base_._one,
        options={**_base_._embedding, _base_._tuning: None, 'train_cfg.max_epochs': 1},
        grid=_base_._small,
    ),
    **{
        f'{label}{views}': dict(config=config, options={**options, **more}, grid=grid)
        for label, (options, grid) in _base_._ways.items()
        for views, (config, more) in _views.items()
    },
    'ICA plus, tokens': dict(
        config=_base_._tokens,
        options={**_base_._ways['ICA plus'][0], **_base_._token_boxes},
        grid=_base_._ways['ICA plus'][1],
    ),
}
search = dict(val_classes=_base_._held_out)
metrics = ['Recall@1', 'Recall@8', 'trainable', 'step_seconds', 'seconds', 'memory_mb']
baseline = 'full fine-tuning'
