from .checkpoint import AdapterCheckpointHook, load_adapter, publish
from .hooks import EpochSeedHook, FrozenBaselineHook, NonFiniteLossHook, TrainableParametersHook
from .optim import TrainableOptimWrapperConstructor

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
