# DVA end to end on embedded data: drawn birds in CUB's file format. The frozen encoder is a micro
# ViT pre-trained by `python -m dva_mm.demo.pretraining`, never on these species.
_base_ = 'dva_vit_cub.py'
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            type='VisionTransformer',
            arch=dict(embed_dims=128, num_layers=6, num_heads=4, feedforward_channels=384),
            patch_size=8,
        ),
        pretrained='{{ fileDirname }}/demo/vit_micro.safetensors',
        img_size=96,
    ),
    head=dict(temperature=0.1),
)
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='OPA',
        resize=[dict(type='ResizeAntialiased', scale=(108, 108))],
        original=[dict(type='RandomCropFlip', size=96)],
        discriminative=[
            dict(type='ResizeAntialiased', scale=(96, 96)),
            dict(type='RandomCropFlip', size=96),
        ],
        fill=[127.5] * 3,
    ),
    dict(type='PackInputs', algorithm_keys=('has_background',)),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeAntialiased', scale=(96, 96)),
    dict(type='PackInputs'),
]
birds = dict(data_root='data/demo_birds', reader='demo_birds')
train_dataloader = dict(
    batch_size=16, num_workers=1, dataset=dict(pipeline=train_pipeline, **birds)
)
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline, **birds))
test_dataloader = val_dataloader
# So short a schedule wants larger steps. The learning rate was chosen on training species, as those
# of demo/ica.py and demo/full.py were (docs/model_zoo.md).
optim_wrapper = dict(
    optimizer=dict(lr=3e-3), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=2.0)})
)
train_cfg = dict(max_epochs=8, val_interval=8)
