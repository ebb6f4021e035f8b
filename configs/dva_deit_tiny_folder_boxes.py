# All three views on an image folder, with the boxes of a file, by default those of
# python tools/cache_boxes.py configs/dva_deit_tiny_folder_boxes.py --source attention
_base_ = 'dva_deit_tiny_folder.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='OPA', original={{_base_.train_view}}, discriminative={{_base_.object_view}}),
    dict(type='PackInputs', algorithm_keys=('has_background',)),
]
train_dataloader = dict(
    dataset=dict(boxes='work_dirs/boxes/images_train_attention.jsonl', pipeline=train_pipeline)
)
