# The same bench, small enough for two CPU cores: DeiT-Tiny at 128 px on an image folder, 5 epochs.
_base_ = ['_base_/baseline.py', '_base_/datasets/folder_open.py']
work_dir = 'work_dirs/baseline_deit_tiny_folder/{{$LOSS:proxy_anchor}}_{{$ENCODER:ica}}'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='deit_tiny_patch16_224', img_size=128),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(146, 146), backend='pillow', interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=128),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(146, 146), backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size={{_base_.batch_size}},
    num_workers=1,
    drop_last=False,  # torch takes no drop_last beside a batch sampler
    batch_sampler=dict(type='MPerClassSampler', m={{_base_.images_per_class}}),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=5)
