# Rivals of DVA on CUB-200-2011, open set, one loss and one encoder at a time:
# LOSS=proxy_anchor ENCODER=ica python tools/train.py configs/baseline_cub.py
# LOSS is the name of a file in _base_/losses, ENCODER of one in _base_/encoders.
_base_ = ['_base_/baseline.py', '_base_/datasets/cub_224_m_per_class.py']
work_dir = 'work_dirs/baseline_cub/{{$LOSS:proxy_anchor}}_{{$ENCODER:ica}}'
train_dataloader = dict(
    batch_size={{_base_.batch_size}}, batch_sampler=dict(m={{_base_.images_per_class}})
)
