# DVA on DINOv2's ViT-B/14 with registers (https://arxiv.org/abs/2309.16588), at 16 x 16 patches.
_base_ = 'dva_vit_cub.py'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='vit_base_patch14_reg4_dinov2.lvd142m'),
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(fill=[123.675, 116.28, 103.53])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
