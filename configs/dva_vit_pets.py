# Oxford-IIIT Pets: breeds 1-18 train, 19-37 test. No object boxes come with it:
# python tools/cache_boxes.py configs/dva_vit_pets.py \
#     --detector type=AttentionBoxes --split all
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/oxford-iiit-pet', reader='pets')
train_dataloader = dict(
    dataset=dict(boxes='work_dirs/boxes/oxford-iiit-pet_all_attention.jsonl', **data)
)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
