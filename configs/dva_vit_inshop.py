# In-Shop Clothes Retrieval, its official split: queries search a gallery of their own.
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/In-shop', reader='inshop')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 10, 20, 30, 40, 50))
test_evaluator = val_evaluator
