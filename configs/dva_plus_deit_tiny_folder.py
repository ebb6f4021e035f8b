# As ica_plus_deit_tiny_folder.py, with three views and DPT.
_base_ = 'dva_deit_tiny_folder.py'
model = dict(
    backbone=dict(pooling='cls+avg', tuning=dict(rank=64, targets=('q', 'k', 'v'))),
    neck=dict(type='Whitening', power=0.5),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-3), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=16.0)})
)
