# The frozen encoder with ICA, as DVA has it.
ica = dict(rank=16, act='GELU', scale=1.0)
tuning = None
neck = None
lr = 1e-3
head_lr_mult = 10.0
