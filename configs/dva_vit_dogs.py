# Stanford Dogs: breeds 1-60 train, 61-120 test.
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/stanford_dogs', reader='dogs')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
