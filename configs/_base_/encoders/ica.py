# The frozen encoder with ICA, as DVA has it.
tuning = dict(type='ICA', rank=16, act='GELU', scale=1.0)
neck = None
lr = 1e-3
head_lr_mult = 10.0
