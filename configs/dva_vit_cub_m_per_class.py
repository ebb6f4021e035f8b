# DVA with the batches of the baselines: a few images of each of their classes.
_base_ = 'dva_vit_cub.py'
train_dataloader = dict(
    drop_last=False,  # torch takes no drop_last beside a batch sampler
    batch_sampler=dict(type='MPerClassSampler', m=4),
)
