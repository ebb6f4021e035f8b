# Any folder with one sub-folder of images a class. There are no boxes, so there is one view.
# --cfg-options data_root=FOLDER protocol=closed changes all data sets at once.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
dataset = dict(type='FineGrainedDataset', data_root='data/images', reader='folder', protocol='open')
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
    dataset=dict(split='train', pipeline=train_pipeline, **dataset),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, **dataset),
)
val_evaluator = dict(type='RetrievalMetric', topk=(1, 2, 4, 8))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
