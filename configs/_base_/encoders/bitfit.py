# The biases of the encoder alone train: Ben Zaken et al., BitFit, https://arxiv.org/abs/2106.10199
tuning = dict(type='BitFit')
neck = None
lr = 1e-3
head_lr_mult = 10.0
