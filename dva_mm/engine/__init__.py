from .checkpoint import AdapterCheckpointHook, EncoderCheckHook
from .hooks import (
    EpochSeedHook,
    FrozenBaselineHook,
    NonFiniteLossHook,
    ProgressBarHook,
    TrainableParametersHook,
)
from .optim import TrainableOptimWrapperConstructor
from .publish import load_adapter, publish
from .record import RunRecordHook
from .resume import ResumedScheduleHook

__all__ = [
    'AdapterCheckpointHook',
    'EncoderCheckHook',
    'EpochSeedHook',
    'FrozenBaselineHook',
    'NonFiniteLossHook',
    'ProgressBarHook',
    'ResumedScheduleHook',
    'RunRecordHook',
    'TrainableOptimWrapperConstructor',
    'TrainableParametersHook',
    'load_adapter',
    'publish',
]
