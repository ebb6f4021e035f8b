# Stanford Cars: classes 1-98 train, 99-196 test.
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/stanford_cars', reader='cars')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
