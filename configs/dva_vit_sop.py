# Stanford Online Products, its official split by class. No object boxes come with it:
# python tools/cache_boxes.py configs/dva_vit_sop.py \
#     --detector type=AttentionBoxes --split all
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/Stanford_Online_Products', reader='sop')
train_dataloader = dict(
    dataset=dict(boxes='work_dirs/boxes/Stanford_Online_Products_all_attention.jsonl', **data)
)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 10, 100, 1000))
test_evaluator = val_evaluator
