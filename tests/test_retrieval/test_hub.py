"""Models on a hub: a fake one, on this machine."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dva_mm.retrieval.hub import model_card

ROOT = Path(__file__).resolve().parents[2]
SHA = 'a' * 40


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub's interface as loading and pushing one file takes."""

    files: dict[str, bytes] = {}

    def log_message(self, *_):
        pass

    def answer(self, content=b'', status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def do_GET(self):
        path = self.path.partition('?')[0]
        if path.startswith('/api/models/me/bird/tree/'):
            rows = self.files.items()
            return self.answer([dict(type='file', path=n, size=len(c), oid=SHA) for n, c in rows])
        if path.startswith('/api/models/me/bird'):
            siblings = [dict(rfilename=name) for name in self.files]
            return self.answer(dict(id='me/bird', sha=SHA, siblings=siblings))
        name = path.rpartition('/resolve/')[2].partition('/')[2]
        if path.startswith('/me/bird/resolve/') and name in self.files:
            content = self.files[name]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            return self.answer(content, ETag=etag, X_Repo_Commit=SHA)
        return self.answer(dict(error='not found'), 404, X_Error_Code='EntryNotFound')

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.path == '/api/repos/create':
            return self.answer(dict(url=f'{self.address}/me/bird', name='me/bird', id='x'))
        if '/preupload/' in self.path:
            files = json.loads(body)['files']
            modes = [dict(path=f['path'], uploadMode='regular', shouldIgnore=False) for f in files]
            return self.answer(dict(files=modes))
        if '/commit/' in self.path:
            for line in map(json.loads, body.splitlines()):
                if line['key'] == 'file':
                    content = base64.b64decode(line['value']['content'])
                    self.files[line['value']['path']] = content
            address = f'{self.address}/me/bird/commit/{SHA}'
            return self.answer(dict(commitUrl=address, commitOid=SHA, success=True))
        return self.answer(dict(license='ok'))  # /api/validate-yaml


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(FakeHub, 'files', {})
    server = ThreadingHTTPServer(('127.0.0.1', 0), FakeHub)
    FakeHub.address = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(code):
        """In a process of its own: huggingface_hub reads its address when it is imported."""
        path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
        env = dict(os.environ, HF_ENDPOINT=FakeHub.address, HF_HOME=str(tmp_path / 'hf'))
        env |= dict(PYTHONPATH=path, HF_TOKEN='x', HF_HUB_DISABLE_XET='1', NO_PROXY='127.0.0.1')
        found = subprocess.run(
            [sys.executable, '-c', code], env=env, capture_output=True, text=True
        )
        return found.stdout.splitlines(), found.stderr

    yield run
    server.shutdown()


def test_what_is_pushed_loads(hub, published):
    file = published[0]
    code = f"""
from dva_mm.retrieval import Retriever, push_to_hub
print(push_to_hub({str(file)!r}, 'me/bird', 'apache-2.0', {{'Recall@1': 81.25}}))
one, other = Retriever.load('hf://me/bird'), Retriever.load('hf://me/bird/{file.name}')
print(one.fingerprint, other.fingerprint, Retriever.load({str(file)!r}).fingerprint)
print(one.origin['source'])
for source in ('hf://me/bird/other.safetensors', 'hf://me/fish', 'hf://me', 'hf://me/../x'):
    try:
        Retriever.load(source)
    except (ValueError, FileNotFoundError) as error:
        print(type(error).__name__, source in str(error))
"""
    lines, errors = hub(code)
    prints = [line for line in lines if ' - mmengine - ' not in line]
    assert len(prints) >= 7, (lines, errors)
    found = prints[-6].split()
    assert len(set(found)) == 1 and len(found) == 3
    assert prints[-5:] == [
        'hf://me/bird',
        'FileNotFoundError True',
        'FileNotFoundError True',
        'ValueError True',
        'ValueError True',
    ]
    assert FakeHub.files[file.name] == file.read_bytes()
    card = FakeHub.files['README.md'].decode()
    assert card.startswith('---\nlicense: apache-2.0\n') and '| Recall@1 | 81.25 |' in card


def test_a_card_says_what_the_file_is(published):
    card = model_card(published[0], 'me/bird', 'mit')
    assert card.startswith('---\nlicense: mit\n') and "hf://me/bird'" in card
    assert '"type": "DVARetriever"' in card and 'None were given' in card
    assert 'vit.safetensors' in card and str(published[0].parent) not in card
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        model_card('absent.pth', 'me/bird', 'mit')
