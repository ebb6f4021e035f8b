import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dva_mm.retrieval import Retriever
from dva_mm.retrieval.source import parse_config


def tamper(file, out, change_meta=None, change_state=None):
    """A published file with other metadata or tensors."""
    with safe_open(file, 'pt') as held:
        meta = json.loads(held.metadata()['dva_mm'])
        names = list(held.keys())
        state = {name: held.get_tensor(name) for name in names}
    if change_meta:
        change_meta(meta)
    if change_state:
        change_state(state)
    save_file(state, out, metadata=dict(dva_mm=json.dumps(meta)))
    return out


def test_a_published_file_is_enough(published, photos):
    file, config = published
    checkpoint = file.parent / 'run' / 'epoch_1.pth'
    alone = Retriever.load(file, device='cpu')
    full = Retriever.load(config, checkpoint, device='cpu')
    assert alone.fingerprint == full.fingerprint != Retriever.load(config).fingerprint
    rows = [r.encode(photos, workers=0, progress=False) for r in (alone, full)]
    assert np.allclose(rows[0], rows[1], atol=1e-6)
    assert Retriever.load(**alone.origin).fingerprint == alone.fingerprint


@pytest.mark.parametrize(
    'line',
    [
        "import os; os.system('touch {}')",
        "x = __import__('os').system('touch {}')",
        "x = dict(a=[open('{}', 'w')])",
        "x = (lambda: open('{}', 'w'))()",
        "x = dict(**dict(a=open('{}', 'w')))",
    ],
)
def test_nothing_of_a_carried_config_is_run(published, tmp_path, line):
    mark = tmp_path / 'mark'

    def change(meta):
        meta['cfg'] += line.format(mark) + '\n'

    file = tamper(published[0], tmp_path / 'foreign.safetensors', change)
    with pytest.raises(ValueError, match='foreign.safetensors'):
        Retriever.load(file)
    assert not mark.exists()


@pytest.mark.parametrize(
    'change',
    [
        lambda state: state.update({min(state): torch.full_like(state[min(state)], torch.nan)}),
        lambda state: state.update({min(state): state[min(state)][:-1].clone()}),
        lambda state: state.update({min(state) + '.more': state[min(state)].clone()}),
        lambda state: state.pop(min(state)),
    ],
    ids=['nan', 'shape', 'more', 'missing'],
)
def test_tampered_tensors_are_refused(published, tmp_path, change):
    file = tamper(published[0], tmp_path / 'foreign.safetensors', change_state=change)
    with pytest.raises(ValueError, match='foreign.safetensors'):
        Retriever.load(file)


def test_damaged_files_are_named(published, tmp_path):
    content = published[0].read_bytes()
    for name, damaged in (
        ('cut.safetensors', content[:-7]),
        ('text.safetensors', b'no tensors'),
        ('text.pth', b'no tensors'),
        ('empty.pth', b''),
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=name):
            Retriever.load(tmp_path / name)
    bare = tamper(published[0], tmp_path / 'bare.safetensors', lambda meta: meta.pop('cfg'))
    with pytest.raises(ValueError, match='bare.safetensors carries no config'):
        Retriever.load(bare)


def test_values_are_read_as_mmengine_writes_them():
    text = "a = dict({'b.c': dict(d=-1.5)}, e=(1, 2))\nf = [None, True, float('inf'), 'g']\n"
    assert parse_config(text) == {
        'a': {'b.c': {'d': -1.5}, 'e': (1, 2)},
        'f': [None, True, float('inf'), 'g'],
    }
