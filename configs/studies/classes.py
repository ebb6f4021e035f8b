# Table 9: Recall@1 on the same test classes against the share of the training classes that train:
# DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'classes_{{$DATA:flowers}}'
description = """Fewer training classes on {{$DATA:flowers}}, the same test classes: DeiT-Tiny at
128 px, 5 epochs. Plus: the embedding is class token and mean of the patches, whitened by the
training classes; of ICA also rank 64 on Q, K and V."""
_kinds = {
    way: (_base_._one, {**_base_._ways[way][0], _base_._lr: rate})
    for way, rate in _base_._rates.items()
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
