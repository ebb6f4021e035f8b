# Jia et al., Visual Prompt Tuning, https://arxiv.org/abs/2203.12119: before the first block.
tuning = dict(type='VPTShallow', num_tokens=10)
neck = None
lr = 1e-3
head_lr_mult = 10.0
