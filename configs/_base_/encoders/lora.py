# Hu et al., LoRA, https://arxiv.org/abs/2106.09685, on the fused projection of Q, K and V.
tuning = dict(type='LoRA', rank=8, alpha=16)
neck = None
lr = 1e-3
head_lr_mult = 10.0
