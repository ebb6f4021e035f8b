# Table 9: Recall@1 on the same test classes against the share of the training classes that train:
# DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'classes_{{$DATA:flowers}}'
description = """Fewer training classes on {{$DATA:flowers}}, the same test classes: DeiT-Tiny at
128 px, 5 epochs."""
_full = {**_base_._ways['full fine-tuning'][0], _base_._lr: 1e-4}
_kinds = {
    'ICA': (_base_._one, {}),
    'DVA': (_base_._three, _base_._boxes),
    'full fine-tuning': (_base_._one, _full),
}
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    **{
        f'{label}, {share:.0%} of the classes': dict(
            config=config,
            # Held out and not evaluated: the test classes are.
            options={**options, 'train_dataloader.dataset.val_classes': round(1 - share, 2)},
            x=100 * share,
            line=label,
        )
        for label, (config, options) in _kinds.items()
        for share in (0.25, 0.5, 0.75, 1.0)
    },
}
plot = dict(x_label='training classes, %', title='Fewer training classes on {{$DATA:flowers}}')
