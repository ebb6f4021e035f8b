# All three views on an image folder; the middle of each image stands in for its object's box.
_base_ = 'ica_deit_tiny_folder.py'
model = dict(head=dict(background='proxy', beta=1.0))
views = dict(
    type='OPA',
    resize=[dict(type='ResizeAntialiased', scale=(146, 146))],
    original=[dict(type='RandomCropFlip', size=128)],
    discriminative=[
        dict(type='ResizeAntialiased', scale=(128, 128)),
        dict(type='RandomCropFlip', size=128),
    ],
)
pack = dict(type='PackInputs', algorithm_keys=('has_background',))
train_pipeline = [dict(type='LoadImage'), dict(type='CenterBox', share=0.7), views, pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
