# Small enough for two CPU cores: DeiT-Tiny at 128 px, 5 epochs. So short a schedule wants larger
# steps.
_base_ = [
    '_base_/models/dva_vit_base.py',
    '_base_/datasets/folder_128.py',
    '_base_/schedules/adam_cosine_30e.py',
    '_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='deit_tiny_patch16_224', img_size=128),
    head=dict(temperature=0.1, background='none', beta=0.0),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-3), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=2.0)})
)
train_cfg = dict(max_epochs=5)
