# The second stage goes on from the last epoch of the first, at 96 px. small.log and large.log are
# the logs of the run that made the shipped encoder.
_base_ = 'small.py'
load_from = 'work_dirs/pretraining/small/epoch_8.pth'
model = dict(backbone=dict(img_size=96))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.7, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackMultiTaskInputs', multi_task_fields=('gt_label',)),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96)),
    dict(type='PackMultiTaskInputs', multi_task_fields=('gt_label',)),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=2)
