# The drawn birds of the demo: python tools/study.py configs/studies/demo.py
description = 'The demo: 30 drawn species train, 30 others test. Settings: see the configs.'
rows = {
    'frozen': dict(config='../dva_demo.py', frozen=True),
    'full fine-tuning': dict(config='../demo/full.py'),
    'ICA': dict(config='../demo/ica.py'),
    'DVA without DPT': dict(config='../dva_demo.py', options={'model.head.beta': 0.0}),
    'DVA': dict(config='../dva_demo.py'),
}
seeds = [0, 1, 2]
baseline = 'full fine-tuning'
metrics = ['Recall@1', 'Recall@2', 'Recall@4', 'Recall@8', 'trainable', 'seconds', 'memory_mb']
