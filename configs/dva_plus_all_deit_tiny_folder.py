# As dva_plus_deit_tiny_folder.py, with adapters beside all linear layers and a first epoch of
# growing learning rates.
_base_ = 'dva_plus_deit_tiny_folder.py'
model = dict(backbone=dict(tuning=dict(targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, convert_to_iter_based=True),
]
