_base_ = [
    '_base_/models/dva_vit_base.py',
    '_base_/datasets/cub_224.py',
    '_base_/schedules/adam_cosine_30e.py',
    '_base_/default_runtime.py',
]
