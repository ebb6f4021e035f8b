# An image folder at 128 px, for small encoders. Images are resized to a square, so that one that is
# already cropped to its object keeps all of it.
_base_ = 'folder_224.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=(146, 146)),
    dict(type='RandomCropFlip', size=128),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=(146, 146)),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
