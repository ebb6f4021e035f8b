# Table 9: Recall@1 against the number of epochs, each a run of its own with its own schedule:
# DATA=flowers, cars or planted. A quarter of the training classes trains.
_base_ = ['_base_/{{$DATA:flowers}}.py', '_base_/ways.py']
name = 'epochs_{{$DATA:flowers}}'
_fewer = {'train_dataloader.dataset.val_classes': 0.75}  # held out and not evaluated
description = """Longer training on a quarter of the training classes of {{$DATA:flowers}}, the same
test classes: DeiT-Tiny at 128 px; each point is a run with a schedule of that length, at the
learning rate that was chosen for 5 epochs and half of the classes. Plus: the embedding is class
token and mean of the patches, whitened by the training classes; of ICA also rank 64 on Q, K and
V."""
_kinds = {
    way: (_base_._one, {**_base_._ways[way][0], _base_._lr: rate})
    for way, rate in _base_._rates.items()
}
# Does full fine-tuning overfit less at a quarter of the rate, of encoder and proxies?
_kinds['full fine-tuning plus, a quarter of the rate'] = (
    _base_._one,
    {
        **_base_._ways['full fine-tuning plus'][0],
        _base_._lr: _base_._rates['full fine-tuning plus'] / 4,
    },
)
rows = {
    'frozen': dict(config=_base_._one, frozen=True),
    **{
        f'{label}, {epochs} epochs': dict(
            config=config,
            options={
                **options,
                **_fewer,
                'train_cfg.max_epochs': epochs,
                'train_cfg.val_interval': epochs,
            },
            x=epochs,
            line=label,
        )
        for label, (config, options) in _kinds.items()
        for epochs in (5, 15, 30, 60)
    },
}
plot = dict(x_label='epochs', title='Longer training on {{$DATA:flowers}}')
