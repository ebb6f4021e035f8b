from .dpt_loss import DPTLoss, dpt_cosine, dpt_kl, dpt_l2
from .dva_head import DVAHead
from .frozen_vit import FrozenViT
from .ica import ICALinear, inject_ica
from .retriever import DVARetriever

__all__ = [
    'DPTLoss',
    'DVAHead',
    'DVARetriever',
    'FrozenViT',
    'ICALinear',
    'dpt_cosine',
    'dpt_kl',
    'dpt_l2',
    'inject_ica',
]
