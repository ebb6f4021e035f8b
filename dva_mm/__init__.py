"""DVA, Dual-Vision Adaptation, for OpenMMLab: importing this registers everything."""

__version__ = '0.1.0'

from . import datasets, demo, engine, evaluation, models
from .config import config_path, load_config

__all__ = ['config_path', 'datasets', 'demo', 'engine', 'evaluation', 'load_config', 'models']
