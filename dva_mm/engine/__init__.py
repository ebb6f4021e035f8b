from .checkpoint import AdapterCheckpointHook, EncoderCheckHook
from .hooks import (
    EpochSeedHook,
    FrozenBaselineHook,
    InterpolationHook,
    NonFiniteLossHook,
    ProgressBarHook,
    TrainableParametersHook,
)
from .optim import TrainableOptimWrapperConstructor
from .publish import load_adapter, publish
from .record import RunRecordHook
from .resume import ResumedScheduleHook
from .runtime_info import DeferredRuntimeInfoHook
from .speed import CompileHook, PrecisionHook, compile_encoder, disable_fused_attention
from .whitening import WhiteningHook

__all__ = [
    'AdapterCheckpointHook',
    'CompileHook',
    'DeferredRuntimeInfoHook',
    'EncoderCheckHook',
    'EpochSeedHook',
    'FrozenBaselineHook',
    'InterpolationHook',
    'NonFiniteLossHook',
    'PrecisionHook',
    'ProgressBarHook',
    'ResumedScheduleHook',
    'RunRecordHook',
    'TrainableOptimWrapperConstructor',
    'TrainableParametersHook',
    'WhiteningHook',
    'compile_encoder',
    'disable_fused_attention',
    'load_adapter',
    'publish',
]
