# The demo with the middle of each picture in the place of the bird's box.
_base_ = '../dva_demo.py'
train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='CenterBox', share=0.7),
    *_base_.train_pipeline[1:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
