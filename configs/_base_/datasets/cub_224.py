# CUB-200-2011 at 224 px, three views. Open set: classes 1-100 train, 101-200 test;
# --cfg-options protocol=closed takes the official images of all classes.
_base_ = 'loaders.py'
# The image is decoded once, and resized once for the two views that show all of it.
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='OPA',
        resize=[dict(type='ResizeAntialiased', scale=256)],
        original=[dict(type='RandomCropFlip', size=224)],
        discriminative=[
            dict(type='ResizeAntialiased', scale=(224, 224)),
            dict(type='RandomCropFlip', size=224),
        ],
        fill=[127.5] * 3,
    ),
    dict(
        type='PackInputs',
        algorithm_keys=('has_background',),
        meta_keys=('sample_idx', 'img_path'),
    ),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
cub = dict(data_root='data/CUB_200_2011', reader='cub', protocol='open')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **cub))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **cub))
test_dataloader = val_dataloader
