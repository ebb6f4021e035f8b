# All three views on an image folder; the middle of each image stands in for its object's box.
_base_ = 'ica_deit_tiny_folder.py'
model = dict(head=dict(background='proxy', beta=1.0))
train_view = [
    dict(type='Resize', scale=(146, 146), backend='pillow', interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=128),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
object_view = [
    dict(type='Resize', scale=(128, 128), backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterBox', share=0.7),
    dict(type='OPA', original=train_view, discriminative=object_view),
    dict(type='PackInputs', algorithm_keys=('has_background',)),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
