# The first stage of the pre-training of the demo's encoder, at 64 px: a small ViT learns to name
# drawn things and scenes, and the traits of birds of no species of the demo in close-ups.
_base_ = 'dva_mm::_base_/default_runtime.py'
custom_imports = dict(imports=['dva_mm', 'dva_mm.demo.pretraining'], allow_failed_imports=False)
classes = dict(thing=65, sky=5, season=2, coat=8, wing=8, crest=4, beak=4, tail=4, belly=4)
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(
        type='MoCoV3ViT',  # a VisionTransformer whose position embedding starts as sines
        arch=dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=384),
        img_size=64,
        patch_size=8,
    ),
    head=dict(
        type='MultiTaskHead',
        in_channels=128,
        task_heads={
            task: dict(type='LinearClsHead', num_classes=count) for task, count in classes.items()
        },
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.7, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackMultiTaskInputs', multi_task_fields=('gt_label',)),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 64)),
    dict(type='PackMultiTaskInputs', multi_task_fields=('gt_label',)),
]
tagged = dict(type='DemoTagged', data_root='data/demo_tagged')
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
    dataset=dict(ann_file='train.json', pipeline=train_pipeline, **tagged),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='val.json', pipeline=val_pipeline, **tagged),
)
val_evaluator = dict(
    type='MultiTasksMetric',
    task_metrics={task: [dict(type='Accuracy', topk=(1,))] for task in classes},
)

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={'cls_token': dict(decay_mult=0.0), 'pos_embed': dict(decay_mult=0.0)},
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
val_cfg = dict()

default_hooks = dict(logger=dict(interval=100))
