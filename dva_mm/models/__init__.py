from .background_swap import swap_backgrounds
from .dpt_loss import DPTLoss, dpt_cosine, dpt_kl, dpt_l2
from .dva_head import DVAHead
from .frozen_vit import FrozenViT
from .gather import gather_views
from .metric_head import MetricLearningHead
from .moving_teacher import MovingTeacher
from .pml_builder import build_pml
from .preprocessor import ViewsPreprocessor
from .retriever import DVARetriever
from .sampled_softmax import sample_classes
from .tuning import ICALinear, Tuning
from .whitening import Whitening, pca_whitening

__all__ = [
    'DPTLoss',
    'DVAHead',
    'DVARetriever',
    'FrozenViT',
    'ICALinear',
    'MetricLearningHead',
    'MovingTeacher',
    'Tuning',
    'ViewsPreprocessor',
    'Whitening',
    'build_pml',
    'dpt_cosine',
    'dpt_kl',
    'dpt_l2',
    'gather_views',
    'pca_whitening',
    'sample_classes',
    'swap_backgrounds',
]
