# The demo with full fine-tuning in the place of ICA: one view, a smaller learning rate.
_base_ = 'ica.py'
model = dict(backbone=dict(tuning=dict(_delete_=True, type='Full')))
optim_wrapper = dict(
    optimizer=dict(lr=3e-4), paramwise_cfg=dict(custom_keys={'head.proxies': dict(lr_mult=40.0)})
)
