# Ways of training the encoder, each with its own learning rates to try, as many for each: the rates
# are those of the encoder; proxies take theirs from _proxies.
_lr = 'optim_wrapper.optimizer.lr'
_tuning = 'model.backbone.tuning'
_proxies = 'optim_wrapper.paramwise_cfg'
_small = {_lr: [1e-3, 2e-3, 4e-3, 8e-3]}
_middle = {_lr: [5e-4, 1e-3, 2e-3, 4e-3]}
_large = {_lr: [2e-3, 4e-3, 8e-3, 1.6e-2]}
_ways = {
    'linear': (
        {_tuning: None, 'model.neck': dict(type='LinearNeck', out_channels=192, norm_cfg=None)},
        _small,
    ),
    'full fine-tuning': (
        {
            _tuning: dict(_delete_=True, type='Full'),
            _proxies: dict(custom_keys={'head.proxies': dict(lr_mult=40.0)}),
        },
        {_lr: [3e-5, 1e-4, 2e-4, 4e-4]},
    ),
    'BitFit': ({_tuning: dict(_delete_=True, type='BitFit')}, _small),
    'VPT shallow': ({_tuning: dict(_delete_=True, type='VPTShallow', num_tokens=10)}, _small),
    'VPT deep': ({_tuning: dict(_delete_=True, type='VPTDeep', num_tokens=10)}, _small),
    'LoRA': ({_tuning: dict(_delete_=True, type='LoRA', rank=8, alpha=16)}, _small),
    'AdaptFormer': (
        {_tuning: dict(_delete_=True, type='AdaptFormer', bottleneck=64, scale=0.1)},
        _small,
    ),
    'ICA': ({}, _small),
}
# Plus: class token and mean of the patches, whitened by the training classes; of ICA also rank 64
# on Q, K and V, as in ../ica_plus_deit_tiny_folder.py. On all layers: of rank 64 beside each linear
# layer, LoRA with ICA's proxies.
_embedding = {
    'model.backbone.pooling': 'cls+avg',
    'model.neck': dict(type='Whitening', power=0.5),
}
_ica_plus = {
    'model.backbone.tuning.rank': 64,
    'model.backbone.tuning.targets': ('q', 'k', 'v'),
    _proxies: dict(custom_keys={'head.proxies': dict(lr_mult=16.0)}),
}
_ways.update(
    {
        'LoRA plus': ({**_ways['LoRA'][0], **_embedding}, _small),
        'full fine-tuning plus': (
            {**_ways['full fine-tuning'][0], **_embedding},
            _ways['full fine-tuning'][1],
        ),
        'VPT deep plus': ({**_ways['VPT deep'][0], **_embedding}, _large),
        'AdaptFormer plus': ({**_ways['AdaptFormer'][0], **_embedding}, _large),
        'ICA plus': ({**_ica_plus, **_embedding}, {_lr: [2.5e-4, 5e-4, 1e-3, 2e-3]}),
        'LoRA plus, all layers': (
            {
                _tuning: dict(
                    _delete_=True,
                    type='LoRA',
                    rank=64,
                    alpha=64,
                    target_modules=('qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2'),
                ),
                _proxies: _ica_plus[_proxies],
                **_embedding,
            },
            _middle,
        ),
        'ICA plus, all layers': (
            {
                **_ica_plus,
                'model.backbone.tuning.targets': ('q', 'k', 'v', 'proj', 'fc1', 'fc2'),
                **_embedding,
            },
            _middle,
        ),
    }
)
# On Q, K and V, and beside each MLP, where AdaptFormer has its bottleneck.
_ways['ICA plus, MLP'] = (
    {**_ica_plus, 'model.backbone.tuning.targets': ('q', 'k', 'v', 'mlp'), **_embedding},
    _middle,
)
_ways['ICA plus, all layers, rank 16'] = (
    {**_ways['ICA plus, all layers'][0], 'model.backbone.tuning.rank': 16},
    _middle,
)
# With the ten prompts of VPT deep beside the adapters.
_ways['ICA plus, all layers, prompts'] = (
    {
        **_ways['ICA plus, all layers'][0],
        f'{_tuning}.type': 'PromptedICA',
        f'{_tuning}.num_tokens': 10,
    },
    _middle,
)
_held_out = 0.5
# A first epoch of growing learning rates, for which larger ones may be taken.
_warm_up = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, convert_to_iter_based=True),
]
