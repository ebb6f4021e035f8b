# FGVC-Aircraft: the first 50 variants train, the other 50 test.
_base_ = 'dva_vit_cub.py'
data = dict(data_root='data/fgvc-aircraft-2013b', reader='aircraft')
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
