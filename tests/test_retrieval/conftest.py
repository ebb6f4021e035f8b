import pytest
from photos import make_retriever, write_photos
from tiny_data import write_config, write_cub, write_weights

from dva_mm.engine import publish
from dva_mm.engine.launch import train


@pytest.fixture(scope='session')
def retriever():
    return make_retriever()


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / 'photos')


@pytest.fixture(scope='session')
def published(tmp_path_factory):
    """A published file of a tiny trained model, and its config."""
    folder = tmp_path_factory.mktemp('tiny model')
    root, weights = write_cub(folder / 'cub'), write_weights(folder / 'vit.safetensors')
    config = write_config(folder / 'tiny.py', root, weights)
    options = ['--no-validate', '--cfg-options', 'train_cfg.max_epochs=1']
    train([str(config), '--work-dir', str(folder / 'run'), *options])
    file = publish(str(folder / 'run' / 'epoch_1.pth'), str(folder / 'tiny.safetensors'))
    return file, config
