"""What reaches the application behind the gate, and what is refused before it."""

import json

import pytest

pytest.importorskip('gradio', reason='gradio is not installed')

from starlette.testclient import TestClient

from dva_mm.serve.gate import Gate
from dva_mm.serve.limits import Limits

META = {'_type': 'gradio.FileData'}


class Behind:
    """An application that keeps what reaches it."""

    def __init__(self):
        self.reached = []

    async def __call__(self, scope, receive, send):
        body = (await receive())['body'] if scope['method'] == 'POST' else b''
        self.reached.append((scope['path'], body))
        await send(dict(type='http.response.start', status=200, headers=[]))
        await send(dict(type='http.response.body', body=b'behind'))


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def uploads(tmp_path):
    folder = tmp_path / 'uploads'
    (folder / 'hash').mkdir(parents=True)
    (folder / 'hash' / 'a.png').write_bytes(b'')
    return folder


@pytest.fixture
def client(behind, uploads):
    return TestClient(Gate(behind, Limits(rate=0, upload_bytes=9000), uploads))


@pytest.mark.parametrize(
    'path',
    ['/', '/page.js', '/config', '/gradio_api/info', '/gradio_api/call/search/0a1b']
    + ['/gradio_api/queue/data', '/gradio_api/heartbeat/0a1b'],
)
def test_what_the_page_and_the_client_need_is_open(path, client, behind):
    answer = client.get(path)
    assert answer.text == 'behind' and behind.reached == [(path, b'')]
    assert "script-src 'self'" in answer.headers['content-security-policy']


@pytest.mark.parametrize(
    'path',
    [
        '/gradio_api/file=/etc/passwd',
        '/gradio_api/file=http://127.0.0.1/',
        '/gradio_api/file/etc/passwd',
        '/gradio_api/proxy=http://127.0.0.1/',
        '/gradio_api/call/../file=/etc/passwd',
        '/gradio_api/call/%2e%2e/file=/etc/passwd',
        '/gradio_api//file=/etc/passwd',
        '//gradio_api/file=/etc/passwd',
        '/gradio_api/infofile=/etc/passwd',
        '/gradio_api/deep_link',
        '/gradio_api/runs',
        '/static/../../etc/passwd',
        '/assets/..%2f..%2fetc/passwd',
        '/monitoring',
        '/docs',
        '/openapi.json',
    ],
)
def test_all_else_is_closed(path, client, behind):
    assert client.get(f'http://testserver{path}').status_code == 404
    assert client.post(f'http://testserver{path}', json={}).status_code == 404
    assert behind.reached == []


@pytest.mark.parametrize('method', ['PUT', 'DELETE', 'OPTIONS', 'PATCH'])
def test_other_methods_are_closed(method, client, behind):
    assert client.request(method, '/gradio_api/call/search').status_code == 404
    assert behind.reached == []


def test_a_question_about_an_upload_passes(client, behind, uploads):
    picture = dict(path=str(uploads / 'hash' / 'a.png'), meta=META, url='http://127.0.0.1/x')
    data = [picture, None, [0, 0, 1, 1], ['red'], 5]
    assert client.post('/gradio_api/call/search', json=dict(data=data)).status_code == 200
    got = json.loads(behind.reached[0][1])['data']
    assert got[1:] == data[1:] and got[0]['path'] == picture['path'] and got[0]['url'] is None


@pytest.mark.parametrize(
    'path',
    ['/etc/passwd', '/proc/self/environ', 'http://127.0.0.1/a.png', 'file:///etc/passwd', '', 7]
    + ['{uploads}/hash/../../secret.png', '{uploads}/../secret.png', '{uploads}/hash/link.png']
    + ['{uploads}', '{uploads}/hash', 'a\0b', '\ud800', None, ['{uploads}/hash/a.png']],
)
@pytest.mark.parametrize('route', ['call/search', 'call/v2/search', 'queue/join', 'reset'])
def test_a_question_about_any_other_file_does_not(path, route, client, behind, uploads):
    (uploads.parent / 'secret.png').write_bytes(b'')
    (uploads / 'hash' / 'link.png').symlink_to(uploads.parent / 'secret.png')
    path = path.replace('{uploads}', str(uploads)) if isinstance(path, str) else path
    for body in (
        dict(data=[dict(path=path, meta=META), None]),
        dict(data=[[[dict(path=path, meta=META)]]]),
        dict(picture=dict(path=path, meta=META)),
        dict(data=[], event_data=dict(path=path, meta=META)),
    ):
        assert client.post(f'/gradio_api/{route}', content=json.dumps(body)).status_code == 400
    assert behind.reached == []


def test_the_body_that_was_checked_is_the_one_that_is_handed_on(client, behind, uploads):
    """Readers of JSON differ in which of two equal keys counts."""
    good = json.dumps(str(uploads / 'hash' / 'a.png'))
    body = f'{{"data": [{{"path": "/etc/passwd", "path": {good}, "meta": {json.dumps(META)}}}]}}'
    assert client.post('/gradio_api/call/search', content=body).status_code == 200
    assert b'passwd' not in behind.reached[0][1]


NESTED = b'{"data":' + b'[' * 990 + b']' * 990 + b'}'


@pytest.mark.parametrize('body', [b'', b'[]', b'"x"', b'{', b'\xff', b'[' * 50_000, NESTED])
def test_what_is_no_object_of_json_is_refused(body, client, behind):
    assert client.post('/gradio_api/call/search', content=body).status_code == 400
    assert behind.reached == []


def test_long_bodies_and_bodies_of_unknown_length_are_refused(client, behind):
    def parts():
        yield b'x'

    for route in ('upload', 'call/search'):
        assert client.post(f'/gradio_api/{route}', content=parts()).status_code == 411
    assert client.post('/gradio_api/upload', content=b'x' * 14_000).status_code == 413
    assert client.post('/gradio_api/call/search', content=b' ' * 200_000).status_code == 413
    assert behind.reached == []
    assert client.post('/gradio_api/upload', content=b'x' * 9000).status_code == 200


def test_a_name_of_another_site_is_refused(behind, uploads):
    gate = Gate(behind, Limits(), uploads, hosts={'localhost', '127.0.0.1', '::1'})
    for base, status in (
        ('http://localhost:7860', 200),
        ('http://127.0.0.1', 200),
        ('http://[::1]:80', 200),
        ('http://evil.example', 403),
        ('http://127.0.0.1.evil.example', 403),
    ):
        assert TestClient(gate, base_url=base).get('/').status_code == status, base
    assert TestClient(gate).get('/', headers={'host': 'a]b['}).status_code == 403


def test_a_request_from_another_site_is_refused(client):
    ask = '/gradio_api/call/search'
    for origin, status in (
        ('http://testserver', 200),
        ('http://evil.example', 403),
        ('null', 403),
        ('http://[', 403),
    ):
        answer = client.post(ask, json={}, headers={'origin': origin})
        assert answer.status_code == status, origin


def test_too_many_questions_of_one_address_are_refused(behind, uploads):
    client = TestClient(Gate(behind, Limits(rate=3), uploads))
    asked = [client.post('/gradio_api/call/search', json={}) for _ in range(2)]
    asked.append(client.post('/gradio_api/upload', content=b'x'))
    assert [answer.status_code for answer in asked] == [200] * 3
    refused = client.post('/gradio_api/queue/join', json={})
    assert refused.status_code == 429 and int(refused.headers['retry-after']) >= 1
    assert '3 a minute' in refused.json()['detail']
    assert client.get('/').status_code == 200
    other = TestClient(Gate(behind, Limits(rate=3), uploads), client=('10.0.0.7', 1))
    assert other.post('/gradio_api/call/search', json={}).status_code == 200


def test_uploads_beyond_the_number_that_is_kept_are_removed(behind, uploads):
    client = TestClient(Gate(behind, Limits(rate=0, uploads=1), uploads))
    assert client.post('/gradio_api/upload', content=b'x').status_code == 200
    assert list(uploads.glob('*/*')) == []
