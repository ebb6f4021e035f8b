from .dpt_loss import DPTLoss, dpt_cosine, dpt_kl, dpt_l2
from .dva_head import DVAHead
from .frozen_vit import FrozenViT
from .gather import gather_rows
from .ica import ICALinear, inject_ica
from .metric_head import MetricLearningHead
from .pml_builder import build_pml
from .retriever import DVARetriever

__all__ = [
    'DPTLoss',
    'DVAHead',
    'DVARetriever',
    'FrozenViT',
    'ICALinear',
    'MetricLearningHead',
    'build_pml',
    'dpt_cosine',
    'dpt_kl',
    'dpt_l2',
    'gather_rows',
    'inject_ica',
]
