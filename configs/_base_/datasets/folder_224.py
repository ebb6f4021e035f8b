# Any folder with one sub-folder of images a class, at 224 px. There are no boxes, so there is one
# view. --cfg-options data_root=FOLDER protocol=closed changes all data sets at once.
_base_ = 'loaders.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=256),
    dict(type='RandomCropFlip', size=224),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
folder = dict(data_root='data/images', reader='folder', protocol='open')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **folder))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **folder))
test_dataloader = val_dataloader
