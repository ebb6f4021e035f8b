# Ways of training the encoder, each with its own learning rates to try, as many for each: the rates
# are those of the encoder; proxies take theirs from _proxies.
_lr = 'optim_wrapper.optimizer.lr'
_tuning = 'model.backbone.tuning'
_proxies = 'optim_wrapper.paramwise_cfg'
_small = {_lr: [1e-3, 2e-3, 4e-3, 8e-3]}
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
_held_out = 0.5
