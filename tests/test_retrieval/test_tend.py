"""The commands duplicates, cluster, check and remove."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from dva_mm.__main__ import COMMANDS, main
from dva_mm.retrieval import Index

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def photos(photos):
    for number in range(3):  # near copies
        with Image.open(photos / 'class_0/000.png') as image:
            pixels = image.copy()
        pixels.putpixel((0, 0), (number, 0, 0))
        pixels.save(photos / f'copy{number}.png')
    return photos


@pytest.fixture
def index(retriever, photos, tmp_path):
    out = tmp_path / 'a.index'
    Index.build(retriever, photos, out, labels='folder', workers=0).close()
    return out


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([*map(str, arguments)])
    return code, capsys.readouterr().out


def test_duplicates_are_printed_as_json_and_as_a_page(index, photos, tmp_path, capsys):
    expected = {str(photos / 'class_0/000.png'), *(str(photos / f'copy{n}.png') for n in range(3))}
    threshold = ('--threshold', 0.99999)
    page = tmp_path / 'groups.html'
    code, text = run(capsys, 'duplicates', index, *threshold, '--html', page)
    assert code == 0 and 'group 1 (4 images)' in text and 'extra images: 3' in text
    assert all(path in text for path in expected)
    code, text = run(capsys, 'duplicates', index, *threshold, '--json')
    (group,) = json.loads(text)
    assert code == 0 and {item['path'] for item in group} == expected
    assert {item['label'] for item in group} == {'class_0', photos.name}
    assert page.read_text().count('src="data:image/') == 4


def test_clusters_hold_each_image_once(index, photos, tmp_path, capsys):
    page = tmp_path / 'groups.html'
    code, text = run(capsys, 'cluster', index, '-k', 3, '--json')
    groups = json.loads(text)
    assert code == 0 and len(groups) == 3
    paths = [item['path'] for group in groups for item in group]
    assert sorted(paths) == sorted(map(str, photos.rglob('*.png')))
    with Index.open(index) as opened:
        same = [[item.id for item in group] for group in opened.cluster(3)]
    assert [[item['id'] for item in group] for group in groups] == same
    code, text = run(capsys, 'cluster', index, '-k', 3, '--html', page)
    assert code == 0 and f'cluster 1 ({len(groups[0])} images)' in text
    assert '15 images in 3 clusters' in page.read_text()


def test_check_measures(index, capsys):
    code, text = run(capsys, 'check', index, '--sample', 5, '-k', 3, '--json')
    assert code == 0 and json.loads(text)['recall'] == 1
    code, text = run(capsys, 'check', index, '-k', 3)
    assert code == 0 and '100.0 %' in text


def test_remove_takes_paths_folders_and_conditions(index, photos, capsys):
    file = photos / 'copy0.png'
    code, text = run(capsys, 'remove', index, file, os.path.relpath(photos / 'class_1'))
    assert (code, text) == (0, '5 removed, 10 left\n')
    code, text = run(capsys, 'remove', index, file, photos / 'copy1.png', '--json')
    assert code == 1
    assert json.loads(text) == dict(removed=1, left=9, unknown=[str(file)])
    assert file.exists()
    code, text = run(capsys, 'remove', index, '--where', 'label=class_2')
    assert (code, text) == (0, '4 removed, 5 left\n')
    with Index.open(index) as left:
        assert len(left) == 5


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['duplicates', 'absent.index'], 'absent.index'),
        (['duplicates', 'INDEX', '--threshold', '98'], '98'),
        (['duplicates', 'INDEX', '--html', '/proc/a.html'], '--html'),
        (['cluster', 'INDEX'], '-k'),
        (['cluster', 'INDEX', '-k', '99'], '99'),
        (['check', 'INDEX', '--nprobe', '4'], 'nprobe'),
        (['remove', 'INDEX'], '--where'),
        (['remove', 'INDEX', 'a.png', '--where', 'label=class_1'], '--where'),
        (['remove', 'INDEX', '--where', 'label=clas_1'], 'class_1'),
        (['remove', 'INDEX', '--where', 'shelf=1'], 'shelf'),
    ],
)
def test_mistakes_end_with_status_2(index, capsys, arguments, named):
    with pytest.raises(SystemExit) as stop:
        main([str(index) if word == 'INDEX' else word for word in arguments])
    assert stop.value.code == 2 and named in capsys.readouterr().err
    with Index.open(index) as left:
        assert len(left) == 15


def test_each_command_has_a_help_page_and_a_door(capsys, monkeypatch):
    for name, arguments in (
        ('duplicates', []),
        ('cluster', ['-k', '2']),
        ('check', []),
        ('remove', ['a.png']),
    ):
        assert name in COMMANDS
        with pytest.raises(SystemExit) as stop:
            main([name, '-h'])
        assert stop.value.code == 0 and f'dva-mm {name}' in capsys.readouterr().out
        monkeypatch.setattr(sys, 'argv', [name, 'absent.index', *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')
        assert stop.value.code == 2 and 'absent.index' in capsys.readouterr().err
