# The same classes on both sides: the official training and test images.
_base_ = 'dva_vit_nabirds.py'
train_dataloader = dict(dataset=dict(protocol='closed'))
val_dataloader = dict(dataset=dict(protocol='closed'))
test_dataloader = val_dataloader
