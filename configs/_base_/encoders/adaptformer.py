# Chen et al., AdaptFormer, https://arxiv.org/abs/2205.13535.
tuning = dict(type='AdaptFormer', bottleneck=64, scale=0.1)
neck = None
lr = 1e-3
head_lr_mult = 10.0
