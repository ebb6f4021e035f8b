# As ica_plus_deit_tiny_folder.py, with bottlenecks beside the MLPs as well and a first epoch of
# growing learning rates: the best on flowers at this size.
_base_ = 'ica_plus_deit_tiny_folder.py'
model = dict(backbone=dict(tuning=dict(targets=('q', 'k', 'v', 'mlp'))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, convert_to_iter_based=True),
]
