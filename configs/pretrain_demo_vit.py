# Pre-trains the demo's small ViT on coarse drawn objects. configs/demo/vit_micro.safetensors is the
# backbone of the last epoch; see configs/demo/pretrain.log.
_base_ = '_base_/default_runtime.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=96, num_layers=6, num_heads=4, feedforward_channels=288),
        img_size=96,
        patch_size=8,
    ),
    head=dict(type='LinearClsHead', num_classes=64, in_channels=96),
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
)
