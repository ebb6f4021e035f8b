"""The HTTP API of a real server, by Gradio's own client and by bare requests."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
from serving import HOSTILE, LABELS, LIMITS, bomb, pair, png, served, texture

gradio_client = pytest.importorskip('gradio_client', reason='gradio is not installed')
META = {'_type': 'gradio.FileData'}


@pytest.fixture(scope='module')
def client(server):
    return gradio_client.Client(server[0], verbose=False)


@pytest.fixture
def write(tmp_path):
    """Write a file; gives what Gradio's client takes as a picture."""

    def handle(content, name='query.png'):
        file = tmp_path / name
        file.write_bytes(content)
        return gradio_client.handle_file(str(file))

    return handle


def ask(address, name, *data):
    """A question without Gradio's client: status, and the answer or what went wrong."""
    sent = httpx.post(f'{address}/gradio_api/call/{name}', json=dict(data=data), timeout=60)
    if sent.status_code != 200:
        return sent.status_code, sent.json()['detail']
    event = sent.json()['event_id']
    text = httpx.get(f'{address}/gradio_api/call/{name}/{event}', timeout=60).text
    kind, answer = text.strip().removeprefix('event: ').split('\ndata: ')
    answer = json.loads(answer)
    return kind, answer[0] if kind == 'complete' else answer['error']


def names(answer):
    return [hit['name'] for hit in answer['hits']]


def test_an_uploaded_picture_is_searched(client, textures, write):
    found = client.predict(picture=write(png(texture(1, 3))), k=4, api_name='/search')
    expected = textures.search(texture(1, 3), 4)
    assert names(found)[0] == 'green/3.png'
    assert [hit['id'] for hit in found['hits']] == [hit.id for hit in expected]
    scores = [hit.score for hit in expected]
    assert [hit['score'] for hit in found['hits']] == pytest.approx(scores, abs=1e-5)
    assert [hit['rank'] for hit in found['hits']] == [1, 2, 3, 4]
    assert all(hit['picture'].startswith('data:image/jpeg;base64,') for hit in found['hits'])


def test_a_box_searches_the_object_alone_and_labels_are_obeyed(client, write):
    picture = write(png(pair()))
    right = client.predict(picture=picture, box=[0.5, 0, 1, 1], k=1, api_name='/search')
    left = client.predict(picture=picture, box=[0, 0, 0.5, 1], k=1, api_name='/search')
    assert names(right) + names(left) == ['green/2.png', 'red/1.png']
    options = dict(picture=picture, box=[0.5, 0, 1, 1], labels=['red', HOSTILE])
    found = client.predict(**options, api_name='/search')
    assert {hit['label'] for hit in found['hits']} == {'red', HOSTILE} and len(found['hits']) == 10


def test_an_item_is_searched_without_itself_and_so_is_a_region_of_it(client, textures):
    number = client.predict(api_name='/describe')['examples'][0]['id']
    for box in (None, [0, 0, 1, 0.5]):
        found = client.predict(item=number, box=box, k=14, api_name='/search')
        assert len(found['hits']) == 14 and number not in {hit['id'] for hit in found['hits']}


def test_the_index_is_described_without_a_path_of_the_machine(client, server, textures):
    told = client.predict(api_name='/describe')
    assert told['title'] == HOSTILE and told['images'] == 15
    assert told['labels'] == dict.fromkeys(LABELS, 5)
    assert told['limits']['pixels'] == LIMITS.pixels and len(told['examples']) == 3
    folder = str(textures.storage.folder.parent)
    shown = client.predict(item=told['examples'][0]['id'], api_name='/show')
    config = httpx.get(f'{server[0]}/config').text + httpx.get(f'{server[0]}/gradio_api/info').text
    assert folder not in json.dumps([told, shown]) + config


def test_the_map_of_a_question_is_drawn(client, textures, write):
    told = client.predict(api_name='/describe')
    hit = told['examples'][0]['id']
    options = dict(hit=hit, picture=write(png(pair())), box=[0, 0, 0.5, 1])
    maps = client.predict(**options, api_name='/look')
    assert told['no_looks'] is None
    assert maps.keys() == {'query', 'hit'} and maps['query'] != maps['hit']
    assert all(each.startswith('data:image/jpeg;base64,') for each in maps.values())


def test_the_signature_is_documented(client):
    told = client.view_api(return_format='dict')['named_endpoints']
    assert set(told) == {'/describe', '/show', '/search', '/look'}
    given = {p['parameter_name']: p['parameter_default'] for p in told['/search']['parameters']}
    assert given == dict(picture=None, item=None, box=None, labels=None, k=24)
    assert all(endpoint['description'] for endpoint in told.values())


@pytest.mark.parametrize(
    ('content', 'said'),
    [(bomb(), 'megapixels'), (b'hallo', 'no picture'), (png(texture(0, 0))[:2000], 'damaged')],
)
def test_what_cannot_be_searched_is_told(client, server, write, content, said):
    for name, more in (('search', {}), ('show', {}), ('look', dict(hit=0))):
        with pytest.raises(Exception, match=said) as caught:
            client.predict(picture=write(content), **more, api_name=f'/{name}')
        assert str(server[1]) not in str(caught.value)


def test_a_file_that_is_too_large_is_refused(client, write, server):
    address, uploads = server
    for size in (LIMITS.upload_bytes + 1, 2 * LIMITS.upload_bytes):
        content = b'x' * size
        with pytest.raises(ValueError, match='maximum file size'):
            client.predict(picture=write(content), api_name='/search')
        sent = httpx.post(f'{address}/gradio_api/upload', files=dict(files=('a.png', content)))
        assert sent.status_code == 413
    sizes = [path.stat().st_size for path in uploads.rglob('*') if path.is_file()]
    assert max(sizes, default=0) <= LIMITS.upload_bytes


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        ((None, None, None, None, 5), 'picture'),
        ((None, 0, None, None, 0), 'k must'),
        ((None, 0, None, None, LIMITS.hits + 1), 'k must'),
        ((None, 0, None, None, 2.5), 'k must'),
        ((None, 0, [1, 1, 0, 0], None, 5), 'box'),
        ((None, 0, 'abcd', None, 5), 'box'),
        ((None, 0, None, 'red', 5), 'labels'),
        ((None, 0, None, [7], 5), 'labels'),
        ((None, '../../etc/passwd', None, None, 5), 'no image'),
        ((None, 10**30, None, None, 5), 'no image'),
        (('/etc/passwd', None, None, None, 5), 'upload'),
    ],
)
def test_a_mistake_is_told(server, data, said):
    kind, text = ask(server[0], 'search', *data)
    assert kind == 'error' and said in text


def test_a_label_that_is_no_plain_text_is_a_value(server):
    for label in ("red' OR 1=1 --", '%', '\0', HOSTILE):
        kind, found = ask(server[0], 'search', None, 0, None, [label], 20)
        assert kind == 'complete' and {hit['label'] for hit in found['hits']} <= {label}


def test_an_error_of_the_server_tells_nothing(server):
    assert ask(server[0], 'search') == ('error', None)  # Gradio's own: too few values


def test_no_other_file_and_no_address_is_opened(server, textures):
    address, uploads = server
    uploaded = httpx.post(
        f'{address}/gradio_api/upload', files=dict(files=('../../a<b>.png', png(texture(0, 2))))
    ).json()[0]
    assert uploaded.startswith(f'{uploads}/')
    good = dict(path=uploaded, meta=META)
    photo = textures.storage.items([0])[0].path
    called = []
    with socket.create_server(('127.0.0.1', 0)) as trap:
        threading.Thread(target=lambda: called.append(trap.accept()), daemon=True).start()
        url = f'http://127.0.0.1:{trap.getsockname()[1]}/a.png'
        paths = ('/etc/passwd', photo, url, f'file://{photo}', f'{uploads}/../x', str(uploads))
        for path in paths:
            for data in (dict(path=path, meta=META), dict(path=path), [dict(path=path, meta=META)]):
                status, _ = ask(address, 'search', data, None, None, None, 5)
                assert status == 400, data
        kind, found = ask(address, 'search', dict(good, url=url), None, None, None, 1)
        assert kind == 'complete' and names(found) == ['red/2.png']
        host, port = address.removeprefix('http://').split(':')
        for path in ('file=', 'proxy=', 'file/', 'stream/'):
            for file in ('/etc/passwd', photo, url, uploaded, '../../../../etc/passwd'):
                connection = http.client.HTTPConnection(host, int(port))
                connection.request('GET', f'/gradio_api/{path}{quote(file)}')
                assert connection.getresponse().status == 404
        assert called == []


def test_visitors_at_once_get_their_own_answers(server, textures):
    address = server[0]
    ids = list(textures.storage.items(list(range(15))))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: ask(address, 'search', None, i, None, None, 3), ids * 2))
    for number, (kind, found) in zip(ids * 2, answers, strict=True):
        expected = textures.search(number, 3, exclude_self=True)
        assert kind == 'complete'
        assert [hit['id'] for hit in found['hits']] == [hit.id for hit in expected]


def test_too_many_questions_are_refused(textures, monkeypatch):
    begun, may_end, search = threading.Event(), threading.Event(), textures.search

    def slow(*arguments):
        begun.set()
        assert may_end.wait(60)
        return search(*arguments)

    monkeypatch.setattr(textures, 'search', slow)
    with (
        served(textures, LIMITS._replace(rate=4, waiting=1)) as (address, _),
        ThreadPoolExecutor(2) as pool,
    ):
        question = (address, 'search', None, 0, None, None, 1)
        asked = [pool.submit(ask, *question)]
        assert begun.wait(60)  # the model is busy
        url, body = f'{address}/gradio_api/call/search', dict(data=question[2:])
        assert httpx.post(url, json=body).status_code == 200  # one waits
        assert httpx.post(url, json=body).status_code == 503
        may_end.set()
        assert [one.result()[0] for one in asked] == ['complete']
        assert ask(*question)[0] == 'complete'
        status, text = ask(*question)
        assert status == 429 and '4' in text
