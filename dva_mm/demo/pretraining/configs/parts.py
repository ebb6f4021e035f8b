# The second stage of the demo's pre-training goes on from the last epoch of the first: 36 coarse
# classes of close-ups (heads, bodies, tails) of birds of no species of the demo. parts.log is the
# log of the run that made the shipped encoder.
_base_ = 'objects.py'
load_from = 'work_dirs/pretraining/objects/epoch_16.pth'
model = dict(head=dict(num_classes=36))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.6, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
parts = dict(type='DemoParts', data_root='data/demo_parts')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **parts))
val_dataloader = dict(dataset=parts)
train_cfg = dict(max_epochs=20, val_interval=4)
