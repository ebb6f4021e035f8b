import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from dva_mm.prepare import download_file, verify

DATA = np.random.default_rng(0).bytes(900_000)
SHA256 = f'sha256:{hashlib.sha256(DATA).hexdigest()}'
MD5 = f'md5:{hashlib.md5(DATA).hexdigest()}'


@pytest.fixture
def url(server) -> str:
    server.files['birds.tgz'] = DATA
    return f'{server.url}/birds.tgz'


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'new' / 'birds.tgz'


def leave_part(server, url: str, target: Path, size: int, digest: str | None = None) -> None:
    """A run that broke off after ``size`` bytes."""
    server.cuts, server.statuses = [size], [200, 404]
    with pytest.raises(ConnectionError):
        download_file(url, target, digest, backoff=0)
    assert (target.parent / 'birds.tgz.part').stat().st_size == size
    server.requests.clear()
    server.sent = 0


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize('digest', [None, SHA256, MD5, SHA256.upper().replace('SHA', 'sha')])
def test_a_whole_file(server, url, target, digest):
    assert download_file(url, target, digest) == target
    assert target.read_bytes() == DATA
    assert names(target) == ['birds.tgz']
    assert len(server.requests) == 1 and 'Range' not in server.requests[0]


def test_without_content_length(server, url, target):
    server.length = False
    assert download_file(url, target, SHA256).read_bytes() == DATA


def test_a_cut_connection_is_resumed_at_the_byte_where_it_broke(server, url, target):
    server.cuts = [300_000, 7]
    download_file(url, target, backoff=0)
    assert target.read_bytes() == DATA
    assert server.sent == len(DATA)
    assert [request.get('Range') for request in server.requests] == [
        None,
        'bytes=300000-',
        'bytes=300007-',
    ]
    assert {request.get('If-Range') for request in server.requests[1:]} == {'"one"'}
    assert names(target) == ['birds.tgz']


def test_a_later_call_resumes(server, url, target):
    leave_part(server, url, target, 400_000)
    download_file(url, target)
    assert target.read_bytes() == DATA
    assert server.sent == len(DATA) - 400_000


def test_a_stalled_connection_is_resumed(server, url, target):
    server.stalls = 1
    download_file(url, target, timeout=0.2, backoff=0)
    assert target.read_bytes() == DATA
    assert [request.get('Range') for request in server.requests] == [None, 'bytes=450000-']


def test_a_server_without_ranges_starts_anew(server, url, target):
    leave_part(server, url, target, 400_000)
    server.ranges = False
    download_file(url, target)
    assert target.read_bytes() == DATA
    assert 'Range' in server.requests[0] and len(server.requests) == 1


def test_a_server_without_ranges_that_always_cuts_ends(server, url, target):
    server.ranges, server.always_cut = False, 400_000
    with pytest.raises(ConnectionError, match='gave up after 3 retries'):
        download_file(url, target, retries=3, backoff=0)
    assert len(server.requests) == 1 + 3 + 1  # the first cut counts as progress
    assert not target.exists()


@pytest.mark.parametrize('honest', [True, False])
def test_another_version_is_not_glued_to_the_part(server, url, target, honest):
    """Also where a server takes the range, but ignores If-Range."""
    leave_part(server, url, target, 400_000)
    server.files['birds.tgz'] = DATA[::-1]
    server.etag, server.if_range = '"two"', honest
    download_file(url, target, backoff=0)
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize('etag', [None, 'W/"weak"'])
def test_only_a_name_or_a_checksum_allows_to_resume(server, url, target, etag):
    server.etag = etag
    leave_part(server, url, target, 400_000)
    download_file(url, target)
    assert 'Range' not in server.requests[0]
    target.unlink()
    leave_part(server, url, target, 400_000, SHA256)
    download_file(url, target, SHA256)
    assert server.requests[0]['Range'] == 'bytes=400000-'
    assert 'If-Range' not in server.requests[0]
    assert target.read_bytes() == DATA


def test_the_part_of_another_address_is_not_resumed(server, url, target):
    leave_part(server, url, target, 400_000)
    server.files['mirror.tgz'] = DATA[::-1]  # under the same ETag
    download_file(f'{server.url}/mirror.tgz', target)
    assert target.read_bytes() == DATA[::-1]


def test_a_run_killed_before_the_renaming(server, url, target):
    leave_part(server, url, target, len(DATA) - 1)
    target.with_name('birds.tgz.part').write_bytes(DATA)
    download_file(url, target)
    assert server.sent == 0
    assert target.read_bytes() == DATA


def test_a_part_longer_than_the_file_starts_anew(server, url, target):
    leave_part(server, url, target, 400_000)
    target.with_name('birds.tgz.part').write_bytes(DATA + b'more')
    download_file(url, target, backoff=0)
    assert target.read_bytes() == DATA


def test_a_wrong_checksum_keeps_nothing(server, url, target):
    wrong = f'sha256:{"0" * 64}'
    with pytest.raises(ValueError) as error:
        download_file(url, target, wrong)
    for text in (wrong, SHA256, 'Run the same command again', url):
        assert text in str(error.value)
    assert names(target) == []


@pytest.mark.parametrize('status', [403, 404, 410])
def test_a_refusal_is_not_repeated(server, url, target, status):
    server.statuses = [status]
    with pytest.raises(ConnectionError, match=f'birds.tgz: the server answers {status}'):
        download_file(url, target)
    assert len(server.requests) == 1


def test_passing_faults_are_repeated_with_growing_pauses(server, url, target, monkeypatch):
    pauses = []
    monkeypatch.setattr('dva_mm.prepare.download.time.sleep', pauses.append)
    server.statuses = [503, 429, 500, 502]
    download_file(url, target, backoff=1.5)
    assert target.read_bytes() == DATA
    assert pauses == [1.5, 3, 6, 12]


def test_giving_up_says_where_the_part_is_and_how_to_go_on(server, url, target):
    server.cuts, server.always_cut = [400_000], 0
    with pytest.raises(ConnectionError) as error:
        download_file(url, target, retries=2, backoff=0)
    part = target.with_name('birds.tgz.part')
    assert f'400,000 bytes are kept in {part}. Run the same command again' in str(error.value)
    assert part.stat().st_size == 400_000


def test_nobody_there(server, target):
    server.server_close()
    with pytest.raises(ConnectionError, match='gave up after 2 retries'):
        download_file(f'{server.url}/birds.tgz', target, retries=2, backoff=0)


def test_no_room(server, url, target, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**6, 10**6 - 899_999, 899_999))
    with pytest.raises(OSError, match='900,000 bytes are needed, 899,999 are free'):
        download_file(url, target)
    assert not target.exists()
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**6, 100_000, 900_000))
    download_file(url, target)


def test_only_the_rest_needs_room(server, url, target, monkeypatch):
    leave_part(server, url, target, 400_000)
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**6, 500_000, 500_000))
    download_file(url, target)


@pytest.mark.parametrize('bad', ['file:///etc/passwd', 'ftp://host/a.zip', '/tmp/a.zip'])
def test_other_addresses(bad, target):
    with pytest.raises(ValueError, match='http'):
        download_file(bad, target)


def test_verify(tmp_path):
    path = tmp_path / 'a.zip'
    path.write_bytes(DATA)
    assert verify(path, None) == SHA256
    assert verify(path, MD5) == MD5
    with pytest.raises(ValueError, match=r'(?s)a.zip has a wrong checksum.*expected md5:00.*got '):
        verify(path, 'md5:' + '0' * 32)
