import re

import pytest

from dva_mm.config import config_path, load_config
from dva_mm.datasets.published import PUBLISHED
from dva_mm.datasets.readers import READERS
from dva_mm.prepare import SOURCES, train_command
from dva_mm.prepare.unpack import ARCHIVE_SUFFIXES


@pytest.mark.parametrize('name', SOURCES)
def test_entries(name):
    source = SOURCES[name]
    assert source.reader in READERS and source.reader in PUBLISHED
    assert source.root.startswith('data/') and 'Cite ' in source.terms
    assert source.homepage.startswith('http')
    assert len({file.name for file in source.files}) == len(source.files)
    assert any(file.name.endswith(ARCHIVE_SUFFIXES) for file in source.files)
    config_path(source.config)
    for file in source.files:
        assert file.url is None or file.url.endswith(f'/{file.name}')
        assert file.digest is None or re.fullmatch(
            r'sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}', file.digest
        )
        assert file.digest is not None or file.url is None or not file.url.startswith('http://')


def test_no_checksum_stands_twice():
    digests = [file.digest for source in SOURCES.values() for file in source.files if file.digest]
    assert len(set(digests)) == len(digests)


def test_the_default_root_is_where_the_config_looks():
    cfg = load_config('dva_mm::dva_vit_cub.py')
    assert cfg.train_dataloader.dataset.data_root == SOURCES['cub'].root


def test_train_command():
    assert train_command('cub', 'data/CUB_200_2011') == (
        'python tools/train.py configs/dva_vit_cub.py'
    )
    assert train_command('cub', '/scratch/cub') == (
        'python tools/train.py configs/dva_vit_cub.py --cfg-options data_root=/scratch/cub'
    )
    assert train_command('dogs', 'data/stanford_dogs').endswith(
        '--cfg-options data_root=data/stanford_dogs reader=dogs'
    )
