# DVA on DINOv3's ViT-B/16 (https://arxiv.org/abs/2508.10104; Meta's licence).
_base_ = 'dva_vit_cub.py'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='vit_base_patch16_dinov3.lvd1689m'),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(fill=[123.675, 116.28, 103.53])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
