# The drawn birds of the demo: python tools/study.py configs/studies/demo.py
description = """60 drawn species train, 60 others test. Each way of training takes the best of
three learning rates, tried on the last 30 of the training species."""
_lr = 'optim_wrapper.optimizer.lr'
_adapters = {_lr: [3e-3, 6e-3, 1.2e-2]}
rows = {
    'frozen': dict(config='../dva_demo.py', frozen=True),
    'full fine-tuning': dict(config='../demo/full.py', grid={_lr: [1e-4, 3e-4, 1e-3]}),
    'ICA': dict(config='../demo/ica.py', grid=_adapters),
    'DVA without DPT': dict(
        config='../dva_demo.py', options={'model.head.beta': 0.0}, grid=_adapters
    ),
    'DVA': dict(config='../dva_demo.py', grid=_adapters),
}
search = dict(val_classes=0.5)
seeds = [0, 1, 2]
baseline = 'full fine-tuning'
metrics = ['Recall@1', 'Recall@8', 'trainable', 'seconds']
