# NABirds: the first 255 visual categories train, the other 300 test.
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/nabirds', reader='nabirds')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
