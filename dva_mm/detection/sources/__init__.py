"""The sources of boxes: each is one file and one registered class."""

from .annotation import AnnotationBoxes
from .attention import AttentionBoxes
from .grounding_dino import GroundingDINO
from .patch_pca import PatchPCA

__all__ = ['AnnotationBoxes', 'AttentionBoxes', 'GroundingDINO', 'PatchPCA']
