# Oxford Flowers-102: species 1-51 train, 52-102 test. No object boxes come with it:
# python tools/cache_boxes.py configs/dva_vit_flowers.py \
#     --detector type=AttentionBoxes --split all
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/flowers102', reader='flowers')
train_dataloader = dict(
    dataset=dict(boxes='work_dirs/boxes/flowers102_all_attention.jsonl', **data)
)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
