# Every weight of the encoder trains.
tuning = dict(type='Full')
neck = None
lr = 1e-5
head_lr_mult = 1000.0
