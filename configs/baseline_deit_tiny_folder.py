# The same bench, small enough for two CPU cores: DeiT-Tiny at 128 px on an image folder, 5 epochs.
_base_ = ['_base_/baseline.py', '_base_/datasets/folder_128.py']
work_dir = 'work_dirs/baseline_deit_tiny_folder/{{$LOSS:proxy_anchor}}_{{$ENCODER:ica}}'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(arch='deit_tiny_patch16_224', img_size=128),
)
train_dataloader = dict(
    batch_size={{_base_.batch_size}},
    drop_last=False,  # torch takes no drop_last beside a batch sampler
    batch_sampler=dict(type='MPerClassSampler', m={{_base_.images_per_class}}),
)
train_cfg = dict(max_epochs=5)
