"""Where OPA's boxes come from: each source fills the same file of boxes."""

from .attention import attention_rollout, class_attention
from .cache import cache_boxes
from .detector import Detection, Detector
from .grounding_dino import GroundingDinoDetector
from .map_detector import MapDetector, map_box
from .patch_pca import patch_pca

__all__ = [
    'Detection',
    'Detector',
    'GroundingDinoDetector',
    'MapDetector',
    'attention_rollout',
    'cache_boxes',
    'class_attention',
    'map_box',
    'patch_pca',
]
