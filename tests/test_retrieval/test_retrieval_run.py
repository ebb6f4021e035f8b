import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_data import picture

from dva_mm.retrieval import Index, Retriever
from dva_mm.retrieval.arguments import printable
from dva_mm.retrieval.run import index_main, search_main


@pytest.fixture
def index(published, photos, tmp_path):
    out = tmp_path / 'photos.index'
    options = ['--labels', 'folder', '--workers', '0', '--device', 'cpu']
    assert index_main([str(photos), '--model', str(published[0]), '--out', str(out), *options]) == 0
    return out


def test_a_folder_is_indexed_searched_and_synced(index, photos, capsys):
    files = sorted(map(str, photos.rglob('*.png')))
    capsys.readouterr()
    assert search_main([str(index), files[0], files[5], '-k', '3', '--json']) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer['query'] for answer in answers] == [files[0], files[5]]
    for answer in answers:
        assert answer['hits'][0]['path'] == answer['query']
        assert [hit['rank'] for hit in answer['hits']] == [1, 2, 3]
    where = ['--where', 'label=class_1', 'label=class_2', '--exclude-self', '--min-score', '-1']
    assert search_main([str(index), files[11], '-k', '20', *where]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 7 and files[11] not in ' '.join(lines)
    assert all('[class_1]' in line or '[class_2]' in line for line in lines)
    os.unlink(files[0])
    cv2.imwrite(files[1], picture(5, 99)[0])
    options = ['--sync', '--workers', '0', '--device', 'cpu']
    assert index_main([str(photos), '--out', str(index), *options]) == 0
    assert '1 added, 1 removed, 10 unchanged' in capsys.readouterr().out
    with Index.open(index) as changed:
        hit = changed.search(files[1], k=1)[0]
        assert hit.path == files[1] and hit.label == os.path.basename(os.path.dirname(files[1]))


@pytest.mark.parametrize('rerank', [['AQE', 'n=3', 'alpha=0.5'], ['DBA'], ['KReciprocal', 'k1=3']])
def test_rerank_is_an_option(index, photos, capsys, rerank):
    file = str(next(photos.rglob('*.png')))
    assert search_main([str(index), file, '-k', '5', '--rerank', *rerank]) == 0
    scores = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()[-5:]]
    assert scores == sorted(scores, reverse=True)


def test_unreadable_files_are_listed_at_the_end(published, photos, tmp_path, capsys):
    (photos / 'zero.jpg').write_bytes(b'')
    (photos / 'text.png').write_text('no image')
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(3)]
    noise[0].save(photos / 'cut.jpg')
    os.truncate(photos / 'cut.jpg', 3000)
    noise[0].save(photos / 'cut.png')
    os.truncate(photos / 'cut.png', 3000)
    for name in ('moving.webp', 'moving.png', 'moving.gif'):
        noise[0].save(photos / name, save_all=True, append_images=noise[1:], lossless=True)
    Image.new('L', (20000, 10000), 99).save(photos / '200 megapixels.png')
    names = [
        os.fsdecode(b'line\nbreak \xff.png'),
        '<img src=x onerror=alert(1)>.png',
        '\x1b[2J.png',
    ]
    for name in names:
        shutil.copy(photos / 'class_0/000.png', photos / name)
    (photos / (names[0] + '.jpg')).write_bytes(b'bad')
    arguments = [str(photos), '--model', str(published[0]), '--out', str(tmp_path / 'a.index')]
    assert index_main([*arguments, '--workers', '0', '--device', 'cpu']) == 1
    output = capsys.readouterr()
    assert '19 added, 0 removed, 0 unchanged, 5 cannot be read' in output.out
    listed = [line for line in output.err.splitlines() if line.startswith('  ')]
    assert len(listed) == 5
    for name in ('zero.jpg', 'text.png', 'cut.jpg', 'cut.png', r'line\nbreak \udcff.png.jpg'):
        assert sum(name in line for line in listed) == 1
    assert search_main([str(tmp_path / 'a.index'), str(photos / names[0]), '-k', '19']) == 0
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 20 and '\x1b' not in output.out
    with Index.open(tmp_path / 'a.index', Retriever.load(published[0])) as index:
        first = np.asarray(noise[0])
        for name in ('moving.webp', 'moving.png'):
            assert index.search(first, k=3)[0].score == pytest.approx(1, abs=1e-3), name


def test_a_pipe_without_utf8_is_no_crash(index, photos):
    name = os.fsdecode(b'na\xc3\xafve \xff \xe2\x9c\x93.png')
    file = shutil.copy(photos / 'class_0/000.png', photos / name)
    code = 'import sys; from dva_mm.retrieval.run import search_main; sys.exit(search_main())'
    env = dict(os.environ, PYTHONIOENCODING='ascii')
    command = [sys.executable, '-c', code, str(index), str(file), '-k', '2']
    found = subprocess.run(command, env=env, capture_output=True)
    assert found.returncode == 0, found.stderr
    assert rb'na\xefve \udcff \u2713.png' in found.stdout


def test_escaped_text_stays_one_line():
    assert printable('a\nb\u2028c\x1b') == r'a\nb\u2028c\x1b'


def test_mistakes_end_with_status_2(index, published, photos, tmp_path, capsys):
    file = str(next(photos.rglob('*.png')))
    out = ['--out', str(tmp_path / 'b.index')]
    model = ['--model', str(published[0]), '--device', 'cpu']
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.txt').write_text('mine')
    wrong = [
        (index_main, [str(photos), *out], '--model'),
        (index_main, [str(photos), *out, '--sync'], 'b.index'),
        (index_main, [str(photos), *out, '--sync', '--flip'], '--flip'),
        (index_main, [str(tmp_path / 'absent'), *out, *model], 'absent'),
        (index_main, [str(photos), *out, '--model', 'dva_mm::dva_demoo.py'], 'dva_demo.py'),
        (index_main, [str(photos), *out, '--model', str(tmp_path / 'no.pth')], 'no.pth'),
        (index_main, [str(photos), *out, *model, '--factory', 'IVFx'], 'IVFx'),
        (index_main, [str(photos), *out, *model, '--factory', 'IVF64,Flat'], 'IVF64'),
        (index_main, [str(photos), '--out', str(tmp_path / 'full'), *model], 'full'),
        (index_main, [str(photos), '--out', str(index), *model, '--flip'], 'flip'),
        (search_main, [str(tmp_path / 'absent'), file], 'absent'),
        (search_main, [str(index), str(tmp_path / 'absent.png')], 'absent.png'),
        (search_main, [str(index), file, '-k', '0'], '0'),
        (search_main, [str(index), file, '--where', 'rose'], 'rose'),
        (search_main, [str(index), file, '--where', 'label=clas_1'], 'class_1'),
        (search_main, [str(index), file, '--where', 'label=class_1', 'label=x'], "'x'"),
        (search_main, [str(index), file, '--where', 'shelf=1'], 'shelf'),
        (search_main, [str(index), file, '--nprobe', '4'], 'nprobe'),
        (search_main, [str(index), file, '--rerank', 'AQEE'], 'AQE'),
        (search_main, [str(index), file, '--rerank', 'AQE', 'm=3'], "'m'"),
        (search_main, [str(index), file, '--rerank', 'AQE', 'n'], "'n'"),
        (search_main, [str(index), file, '--html', '/proc/a.html'], '--html'),
    ]
    for main, arguments, named in wrong:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2, arguments
        assert named in capsys.readouterr().err
    with Index.open(index).storage.writing(), pytest.raises(SystemExit) as stop:
        index_main([str(photos), '--out', str(index), '--sync'])
    assert stop.value.code == 2


def test_hits_become_a_page(index, photos, tmp_path, monkeypatch):
    module = type(sys)('dva_mm.visualization.page')
    module.hits_page = lambda query, hits: f'{query}: {len(hits)}'
    monkeypatch.setitem(sys.modules, 'dva_mm.visualization.page', module)
    files = sorted(map(str, photos.rglob('*.png')))[:2]
    out = tmp_path / 'hits.html'
    assert search_main([str(index), files[0], '-k', '4', '--html', str(out)]) == 0
    assert out.read_text() == f'{files[0]}: 4'
    assert search_main([str(index), *files, '-k', '4', '--html', str(out)]) == 0
    assert (tmp_path / 'hits-2.html').read_text() == f'{files[1]}: 4'


def test_an_index_of_a_config_and_checkpoint_is_that_of_the_published_file(
    index, published, photos, tmp_path
):
    file, config = published
    checkpoint = file.parent / 'run' / 'epoch_1.pth'
    options = ['--model', str(config), '--checkpoint', str(checkpoint), '--device', 'cpu']
    out = str(tmp_path / 'b.index')
    assert index_main([str(photos), *options, '--out', out, '--workers', '0']) == 0
    assert Index.open(out).state['fingerprint'] == Index.open(index).state['fingerprint']
    assert Index.open(out).search(3, k=5)[1].path == Index.open(index).search(3, k=5)[1].path


def test_flip_and_doors(published, photos, tmp_path, monkeypatch, capsys):
    def door(name: str, *arguments: str) -> str:
        tools = Path(__file__).resolve().parents[2] / 'tools'
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(tools / name), run_name='__main__')
        assert not ended.value.code
        return capsys.readouterr().out

    out = tmp_path / 'a.index'
    model = ['--model', str(published[0]), '--flip', '--workers', '0']
    door('index.py', str(photos), *model, '--out', str(out))
    with Index.open(out) as index:
        rows = Retriever.load(published[0]).encode(photos, flip=True, workers=0, progress=False)
        assert np.allclose(index.storage.vectors(range(12)), rows, atol=1e-6)
    assert '1.0000' in door('search.py', str(out), str(next(photos.rglob('*.png'))), '-k', '1')


def test_of_several_queries_those_that_can_be_read_are_answered(index, photos, tmp_path, capsys):
    good = sorted(map(str, photos.rglob('*.png')))[:2]
    bad, absent = str(tmp_path / 'bad.png'), str(tmp_path / 'absent.png')
    (tmp_path / 'bad.png').write_text('no image')
    capsys.readouterr()
    queries, page = [good[0], bad, absent, good[1]], tmp_path / 'hits.html'
    assert search_main([str(index), *queries, '-k', '2', '--html', str(page)]) == 1
    output = capsys.readouterr()
    assert [line for line in output.out.splitlines() if line in queries] == good
    assert [line.split(':')[0].strip() for line in output.err.splitlines()[-2:]] == [bad, absent]
    names = sorted(file.name for file in tmp_path.glob('hits*'))
    assert (
        names == ['hits-1.html', 'hits-2.html'] and good[1] in page.with_stem('hits-2').read_text()
    )
    assert search_main([str(index), *queries, '-k', '2', '--json']) == 1
    found = json.loads(capsys.readouterr().out)
    assert [len(answer['hits']) for answer in found] == [2, 0, 0, 2]
    assert ['error' in answer for answer in found] == [False, True, True, False]
    assert search_main([str(index), bad]) == 1


def test_json_of_any_name_is_text(index, photos, capfd):
    name = os.fsdecode(b'na\xc3\xafve \xff.png')
    file = str(shutil.copy(photos / 'class_0/000.png', photos / name))
    assert index_main([str(photos), '--out', str(index), '--sync', '--workers', '0']) == 0
    capfd.readouterr()
    assert search_main([str(index), file, '-k', '2', '--json']) == 0
    (answer,) = json.loads(capfd.readouterr().out)
    json.dumps(answer, ensure_ascii=False).encode()  # no lone surrogate is left
    by_name = {hit['path']: hit for hit in answer['hits']}
    hit = by_name[file.encode(errors='backslashreplace').decode()]
    assert os.fsdecode(unquote_to_bytes(hit['uri'].removeprefix('file://'))) == file
    assert 'uri' not in by_name[str(photos / 'class_0/000.png')]


def test_missing_weights_of_the_hub_end_with_status_2(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    out = ['--out', str(tmp_path / 'a.index')]
    with pytest.raises(SystemExit) as stop:
        index_main([str(photos), '--model', 'dva_mm::dva_deit_tiny_folder.py', *out])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert '--pretrained' in line
