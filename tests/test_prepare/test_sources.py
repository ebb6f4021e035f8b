import re
import shlex
from pathlib import Path

import pytest

from dva_mm.config import load_config
from dva_mm.datasets.benchmarks import READERS
from dva_mm.datasets.published import PUBLISHED
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
    for file in source.files:
        assert file.url is None or file.url.endswith(f'/{file.name}')
        assert file.digest is None or re.fullmatch(
            r'sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}', file.digest
        )
        assert file.digest is not None or file.url is None or not file.url.startswith('http://')


def test_no_checksum_stands_twice():
    digests = [file.digest for source in SOURCES.values() for file in source.files if file.digest]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize('name', SOURCES)
def test_each_config_reads_where_its_source_is_unpacked_to(name: str):
    source, cfg = SOURCES[name], load_config(f'dva_mm::dva_vit_{name}.py')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        data = cfg[loader].dataset
        assert (data.data_root, data.reader) == (source.root, source.reader)
    boxes = cfg.train_dataloader.dataset.get('boxes', 'annotation')
    assert (boxes == 'annotation') == source.boxes
    if not source.boxes:
        assert boxes == f'work_dirs/boxes/{Path(source.root).name}_all_attention.jsonl'


@pytest.mark.parametrize('name', SOURCES)
def test_train_command(name: str):
    config = f'configs/dva_vit_{name}.py'
    lines = train_command(name, SOURCES[name].root).splitlines()
    assert lines.pop() == f'python tools/train.py {config}'
    assert lines == [f'python tools/cache_boxes.py {config} --source attention --split all'] * (
        name in ('flowers', 'pets', 'sop')
    )


@pytest.mark.parametrize('name', SOURCES)
def test_train_command_for_another_root(name: str):
    *boxes, train = map(shlex.split, train_command(name, '/my data/x').splitlines())
    options = ['--cfg-options', 'data_root=/my data/x']
    assert train == ['python', 'tools/train.py', f'configs/dva_vit_{name}.py', *options]
    for command in boxes:
        assert command[-2:] == options
        # The default would be named after the folder; training looks for the config's.
        cfg = load_config(f'dva_mm::dva_vit_{name}.py')
        assert command[command.index('--out') + 1] == cfg.train_dataloader.dataset.boxes
    assert len(boxes) == (name in ('flowers', 'pets', 'sop'))
