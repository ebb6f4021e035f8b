import pytest
from photos import make_retriever, write_photos


@pytest.fixture(scope='session')
def retriever():
    return make_retriever()


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / 'photos')
