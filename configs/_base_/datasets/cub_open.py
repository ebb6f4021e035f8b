# CUB-200-2011, open set: classes 1-100 train, 101-200 test.
fill = [127.5, 127.5, 127.5]
# The image is decoded once and resized once for the two views that show all of it.
train_view = [dict(type='RandomCropFlip', size=224)]
object_view = [
    dict(type='ResizeAntialiased', scale=(224, 224)),
    dict(type='RandomCropFlip', size=224),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='OPA',
        resize=[dict(type='ResizeAntialiased', scale=256)],
        original=train_view,
        discriminative=object_view,
        fill=fill,
    ),
    dict(
        type='PackInputs',
        algorithm_keys=('has_background',),
        meta_keys=('sample_idx', 'img_path'),
    ),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

dataset = dict(
    type='FineGrainedDataset',
    data_root='data/CUB_200_2011',
    reader='cub',
    protocol='open',
)
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
