from .checkpoint import AdapterCheckpointHook
from .hooks import EpochSeedHook, FrozenBaselineHook, NonFiniteLossHook, TrainableParametersHook
from .optim import TrainableOptimWrapperConstructor
from .publish import load_adapter, publish

__all__ = [
    'AdapterCheckpointHook',
    'EpochSeedHook',
    'FrozenBaselineHook',
    'NonFiniteLossHook',
    'TrainableOptimWrapperConstructor',
    'TrainableParametersHook',
    'load_adapter',
    'publish',
]
