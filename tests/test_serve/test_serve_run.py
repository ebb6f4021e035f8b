"""The command: its mistakes, its address, its options."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from dva_mm.__main__ import main
from dva_mm.retrieval import Index
from dva_mm.serve import run
from dva_mm.serve.limits import Limits
from dva_mm.serve.run import listen, names_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def location(textures):
    return str(textures.storage.folder)


@pytest.fixture
def mistake(capsys, monkeypatch):
    """Run the command; gives the one line of its mistake."""
    monkeypatch.delenv('DVA_MM_TRACEBACK', raising=False)

    def fail(*arguments):
        capsys.readouterr()
        assert main(['serve', *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        # Of a run before, in this process, the log has the traceback.
        (line,) = [line for line in lines if not line.startswith('traceback: ')]
        return line

    return fail


def test_without_gradio_one_line_names_the_extra(mistake, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *a: None if name == 'gradio' else find(name, *a)
    )
    assert 'pip install "dva_mm[demo]"' in mistake('anything')


def test_mistakes_are_one_line(mistake, location, tmp_path, textures):
    assert str(tmp_path) in mistake(str(tmp_path), '--port', '0')
    assert '--rate' in mistake(location, '--rate', '-1')
    assert '--port' in mistake(location, '--port', '-5')
    assert '--host 203.0.113.7' in mistake(location, '--host', '203.0.113.7')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f'--port {port}' in mistake(location, '--port', port)
    assert '70000' in mistake(location, '--port', '70000')
    Index.build(textures.retriever, [], tmp_path / 'empty', workers=0).close()
    assert 'empty' in mistake(str(tmp_path / 'empty'), '--port', '0')


@pytest.mark.parametrize('value', ['0', '-1', 'nan', 'inf', 'x'])
def test_limits_that_are_none_are_refused(location, value, capsys):
    for option in ('--max-upload', '--max-pixels', '--queue', '--hits', '--uploads'):
        with pytest.raises(SystemExit):
            main(['serve', location, option, value])
        assert option in capsys.readouterr().err


def test_the_options_reach_the_page(location, monkeypatch, capsys):
    pytest.importorskip('gradio', reason='gradio is not installed')
    import uvicorn

    from dva_mm.serve import app

    made = {}

    def make_app(catalogue, uploads, limits, title, hosts):
        made.update(limits=limits, title=title, hosts=hosts, uploads=uploads)

    def serve(server, sockets):
        made['address'] = sockets[0].getsockname()

    monkeypatch.setattr(app, 'make_app', make_app)
    monkeypatch.setattr(uvicorn.Server, 'run', serve)
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    assert main(['serve', location, '--port', '0', '--device', 'cpu']) == 0
    assert made['address'][0] == '127.0.0.1' and made['limits'] == Limits()
    assert made['title'] == 'photos.index' and '127.0.0.1' in made['hosts']
    assert not made['uploads'].exists()
    assert f'http://127.0.0.1:{made["address"][1]}' in capsys.readouterr().out
    given = ['--max-upload', '1.5', '--max-pixels', '2.5', '--rate', '7']
    given += ['--queue', '8', '--hits', '9', '--uploads', '10']
    assert main(['serve', location, '--port', '0', '--host', '0.0.0.0', *given]) == 0
    assert made['address'][0] == '0.0.0.0' and made['hosts'] is None
    assert made['limits'] == Limits(1_500_000, 2_500_000, 7, 8, 9, 10)
    assert 'all pictures' in capsys.readouterr().err


def test_pages_of_this_machine_alone_have_its_names():
    assert names_of('localhost') == names_of('127.0.0.1') == {'localhost', '127.0.0.1', '::1'}
    assert '127.0.0.5' in names_of('127.0.0.5')
    assert names_of('192.168.1.7') is None and names_of('::') is None
    with listen('localhost', 0) as found:
        assert found.getsockname()[1] > 0


def test_a_real_process_serves_and_leaves_nothing_behind(location, tmp_path):
    pytest.importorskip('gradio', reason='gradio is not installed')
    script = ROOT / 'tools' / 'serve.py'
    env = {**os.environ, 'TMPDIR': str(tmp_path), 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, script, location, '--port', '0', '--device', 'cpu']
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if line.startswith('page: '))
            address = line.split()[1]
            assert b'<title>' in urllib.request.urlopen(address).read()
            assert list(tmp_path.glob('dva_mm_serve_*'))
            process.terminate()
            assert process.wait(60) == 143
        finally:
            process.kill()
    assert list(tmp_path.glob('dva_mm_serve_*')) == []


def test_the_command_answers_help_without_torch(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run.main(['--help'])
    said = capsys.readouterr().out
    for option in ('--host', '--port', '--max-upload', '--max-pixels', '--rate', '--queue'):
        assert option in said
