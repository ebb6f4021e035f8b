# Table 1: DVA's proxies and the other losses, one view, ICA: DATA=flowers, cars or planted.
_base_ = ['_base_/{{$DATA:flowers}}.py']
name = 'losses_{{$DATA:flowers}}'
description = """Losses on {{$DATA:flowers}}: DeiT-Tiny at 128 px, 5 epochs, one view, ICA, batches
of a few images of each of their classes."""
_losses = {
    'DVA proxies': 'dva_proxies',
    'Proxy Anchor': 'proxy_anchor',
    'ProxyNCA++': 'proxy_nca_pp',
    'Multi-Similarity': 'multi_similarity',
    'triplet, semi-hard': 'triplet_semihard',
    'contrastive': 'contrastive',
    'SoftTriple': 'soft_triple',
    'ArcFace': 'arcface',
    'SupCon': 'supcon',
    'Smooth-AP': 'smooth_ap',
}
rows = {
    label: dict(config='../baseline_deit_tiny_folder.py', variables=dict(LOSS=loss, ENCODER='ica'))
    for label, loss in _losses.items()
}
rows['DVA, three views'] = dict(config=_base_._three, options=_base_._boxes)
search = dict(val_classes=0.5, grid={'optim_wrapper.optimizer.lr': [1e-3, 2e-3, 4e-3, 8e-3]})
baseline = 'DVA proxies'
