"""The sources of boxes: each is one file and one registered class."""

from .annotation import AnnotationBoxes
from .attention import AttentionBoxes, attention_rollout, class_attention
from .center import CenterBoxes
from .grounding_dino import GroundingDINO
from .patch_pca import PatchPCA, first_component, patch_pca

__all__ = [
    'AnnotationBoxes',
    'AttentionBoxes',
    'CenterBoxes',
    'GroundingDINO',
    'PatchPCA',
    'attention_rollout',
    'class_attention',
    'first_component',
    'patch_pca',
]
