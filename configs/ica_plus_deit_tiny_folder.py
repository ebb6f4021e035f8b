# A better form on small sets than the paper's in ica_deit_tiny_folder.py: rank 64 on Q, K, V;
# the embedding is class token and mean of the patches, whitened by the training classes.
_base_ = 'ica_deit_tiny_folder.py'
model = dict(
    backbone=dict(pooling='cls+avg', tuning=dict(rank=64, targets=('q', 'k', 'v'))),
    neck=dict(type='Whitening', power=0.5),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=16.0)})
)
