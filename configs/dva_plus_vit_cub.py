# DVA's best form on small sets (ica_plus_deit_tiny_folder.py) in the paper's setting. It was never
# trained on CUB: more adapters want a lower rate, here a quarter of the recipe's.
_base_ = 'dva_vit_cub.py'
model = dict(
    backbone=dict(pooling='cls+avg', tuning=dict(rank=64, targets=('q', 'k', 'v'))),
    neck=dict(type='Whitening', power=0.5),
)
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=40.0)})
)
