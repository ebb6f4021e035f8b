from .adaptformer import AdaptFormer
from .base import Tuning, build_tuning
from .full import BitFit, Full
from .ica import ICA, ICALinear
from .lora import LoRA
from .prompted_ica import PromptedICA
from .vpt import VPTDeep, VPTShallow

__all__ = [
    'AdaptFormer',
    'BitFit',
    'Full',
    'ICA',
    'ICALinear',
    'LoRA',
    'PromptedICA',
    'Tuning',
    'VPTDeep',
    'VPTShallow',
    'build_tuning',
]
