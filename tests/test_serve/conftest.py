import pytest
from serving import build, served


@pytest.fixture(scope='session')
def textures(tmp_path_factory):
    """An index of 15 pictures of three labels."""
    return build(tmp_path_factory.mktemp('textures'))


@pytest.fixture(scope='session')
def server(textures):
    """Address of a server of it, and its folder of uploads."""
    pytest.importorskip('gradio', reason='gradio is not installed')
    with served(textures) as found:
        yield found
