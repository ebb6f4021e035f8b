# Table 9: Recall@1 against the number of epochs, each a run of its own with its own schedule:
# DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'epochs_{{$DATA:flowers}}'
description = """Longer training on {{$DATA:flowers}}: DeiT-Tiny at 128 px; each point is a run with
a schedule of that length."""
_full = {**_base_._ways['full fine-tuning'][0], _base_._lr: 1e-4}
_kinds = {
    'ICA': (_base_._one, {}),
    'DVA': (_base_._three, _base_._boxes),
    'full fine-tuning': (_base_._one, _full),
}
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    **{
        f'{label}, {epochs} epochs': dict(
            config=config, options={**options, 'train_cfg.max_epochs': epochs}, x=epochs, line=label
        )
        for label, (config, options) in _kinds.items()
        for epochs in (5, 15, 30, 60)
    },
}
plot = dict(x_label='epochs', title='Longer training on {{$DATA:flowers}}')
