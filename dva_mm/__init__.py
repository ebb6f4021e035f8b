"""DVA, Dual-Vision Adaptation, for OpenMMLab: importing this registers everything.

The package's own commands alone register late, so that they answer a mistake at once.
"""

import sys
import warnings
from importlib import import_module
from pathlib import Path

__version__ = '0.2.0'

from .config import config_path, load_config

_PARTS = ('datasets', 'engine', 'evaluation', 'models')
_LATE = {'Index': 'retrieval', 'Retriever': 'retrieval'}
__all__ = ['config_path', 'load_config', 'register', *_LATE, *_PARTS]

# mmcv-lite is all that is needed, and mmpretrain's import warns of what it leaves out.
_WARNING = dict(action='ignore', message='Fail to import ``MultiScaleDeformableAttention``')


def register() -> None:
    """Register every class in mmpretrain's registries, and the configs in its list of models.

    >>> register()
    >>> from mmpretrain.registry import MODELS
    >>> MODELS.get('DVARetriever').__name__
    'DVARetriever'
    >>> import mmpretrain
    >>> mmpretrain.list_models('dva_demo')
    ['dva_demo']
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(**_WARNING)
        for name in _PARTS:
            import_module(f'.{name}', __name__)
        from mmpretrain.apis import ModelHub

        package = Path(__file__).resolve().parent
        linked = (package / '.mim' / 'configs').is_dir()  # git may write links as plain files
        if not ModelHub.has('dva_demo'):
            folder = (package / '.mim' / 'configs').resolve().parent if linked else package.parent
            ModelHub.register_model_index(folder / 'model-index.yml')


def _is_own_command() -> bool:
    """Tell whether this process runs ``-m dva_mm``, ``dva-mm`` or a script of the tools folder."""
    started = sys.orig_argv[-len(sys.argv) :][0] if sys.argv else ''
    if sys.argv[0] == '-m':
        return started.removeprefix('-m') == __name__
    package = Path(__file__).resolve().parent
    folders = [package.parent / 'tools', (package / '.mim' / 'tools').resolve()]
    return Path(started).stem == 'dva-mm' or Path(started).resolve().parent in folders


def __getattr__(name: str) -> object:
    if name in _PARTS:
        return import_module(f'.{name}', __name__)
    if name in _LATE:
        return getattr(import_module(f'.{_LATE[name]}', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


if _is_own_command():
    warnings.filterwarnings(**_WARNING)
else:
    register()
