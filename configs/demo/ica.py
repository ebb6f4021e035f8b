# The demo with ICA alone: one view, no OPA, no DPT.
_base_ = '../dva_demo.py'
model = dict(head=dict(background='none', beta=0.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=(108, 108)),
    dict(type='RandomCropFlip', size=96),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1.2e-2))
