import base64
import json

import pytest

from dva_mm.visualization.curves import draw_curves, read_scalars


def write(folder, time, *rows):
    file = folder / time / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text('\n'.join(row if isinstance(row, str) else json.dumps(row) for row in rows))


def test_a_resumed_run_continues_and_its_newer_values_count(tmp_path):
    train = dict(lr=0.1, time=1.0, epoch=1, memory=5)
    write(
        tmp_path,
        '20260101_000000',
        {'retrieval/Recall@1': 10.0, 'time': 0.1, 'data_time': 0.1, 'step': 0},
        dict(train, loss=3.0, loss_dpt=1.0, iter=10, step=10),
        dict(train, loss=2.5, loss_dpt=0.9, iter=20, step=20),
        '{"loss": 1',
    )
    write(
        tmp_path,
        '20260102_000000',
        dict(train, loss=2.0, loss_dpt=0.8, iter=20, step=20),
        {'retrieval/Recall@1': 30.0, 'time': 0.1, 'step': 2},
    )
    losses, metrics = read_scalars(tmp_path)
    assert losses == {'loss': {10: 3.0, 20: 2.0}, 'loss_dpt': {10: 1.0, 20: 0.8}}
    assert metrics == {'retrieval/Recall@1': {0: 10.0, 2: 30.0}}


def test_a_folder_without_scalars_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        read_scalars(tmp_path)


@pytest.mark.parametrize('name', ['_hidden', 'a$b$', '<script>', '$\\frac$'])
def test_any_run_name_can_be_drawn(name):
    runs = [(name, {'loss': {1: 2.0, 5: 1.0}}), ('other', {'loss_dpt': {1: 2.0}})]
    uri = draw_curves(runs, 'iteration')
    drawn = base64.b64decode(uri.split(',')[1]).decode()
    assert uri.startswith('data:image/svg+xml;base64,')
    assert drawn.count('<script') == 0
    assert 'loss_dpt' in drawn
