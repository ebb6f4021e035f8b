# All three views on an image folder, with the boxes of a file, by default those of
# python tools/cache_boxes.py configs/dva_deit_tiny_folder_boxes.py --detector type=AttentionBoxes
_base_ = 'dva_deit_tiny_folder.py'
train_pipeline = [dict(type='LoadImage'), {{_base_.views}}, {{_base_.pack}}]
train_dataloader = dict(
    dataset=dict(boxes='work_dirs/boxes/images_train_attention.jsonl', pipeline=train_pipeline)
)
