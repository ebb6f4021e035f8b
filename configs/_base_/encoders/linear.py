# A linear embedding on the frozen encoder.
tuning = None
neck = dict(type='LinearNeck', out_channels=512, norm_cfg=None)
lr = 1e-3
head_lr_mult = 10.0
