# Small enough for two CPU cores: DeiT-Tiny at 128 px, 5 epochs. Images are resized to a square, so
# that one already cropped to its object keeps all of it. So short a schedule wants larger steps.
_base_ = 'ica_vit_folder.py'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='deit_tiny_patch16_224', img_size=128),
    head=dict(temperature=0.1),
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
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=6e-3), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=2.0)})
)
train_cfg = dict(max_epochs=5)
