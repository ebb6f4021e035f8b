# CUB-200-2011, one view, batches of a few images of each of their classes.
_base_ = 'cub_224.py'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=256),
    dict(type='RandomCropFlip', size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    drop_last=False,  # torch takes no drop_last beside a batch sampler
    batch_sampler=dict(type='MPerClassSampler', m=4),
    dataset=dict(pipeline=train_pipeline),
)
