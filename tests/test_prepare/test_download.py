"""Downloads over connections that break, and their checksums."""

import hashlib
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


def leave_part(server, url: str, target: Path, size: int, digest: str | None = SHA256) -> None:
    """A run that broke off after ``size`` bytes."""
    server.cuts, server.statuses = [size], [200, 404]
    with pytest.raises(ConnectionError):
        download_file(url, target, digest, backoff=0)
    assert (target.parent / 'birds.tgz.part').stat().st_size == size
    server.requests.clear()
    server.sent = 0


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize(
    ('digest', 'length'),
    [(None, True), (SHA256, False), (MD5, True), (SHA256.upper().replace('SHA', 'sha'), True)],
)
def test_a_whole_file(server, url, target, digest, length):
    server.length = length
    assert download_file(url, target, digest) == target
    assert target.read_bytes() == DATA
    assert names(target) == ['birds.tgz']
    assert len(server.requests) == 1 and 'Range' not in server.requests[0]


def test_a_cut_connection_is_resumed_at_the_byte_where_it_broke(server, url, target):
    server.cuts = [300_000, 7]
    download_file(url, target, backoff=0)
    assert target.read_bytes() == DATA
    assert server.sent == len(DATA)
    ranges = [request.get('Range') for request in server.requests]
    assert ranges == [None, 'bytes=300000-', 'bytes=300007-']
    assert {request.get('If-Range') for request in server.requests[1:]} == {'"one"'}
    assert names(target) == ['birds.tgz']


def test_a_stalled_connection_is_resumed(server, url, target):
    server.stalls = 1
    download_file(url, target, timeout=0.2, backoff=0)
    assert target.read_bytes() == DATA
    assert [request.get('Range') for request in server.requests] == [None, 'bytes=450000-']


@pytest.mark.parametrize('digest', [SHA256, None])
def test_a_later_call_resumes_what_a_checksum_can_verify(server, url, target, digest):
    leave_part(server, url, target, 400_000, digest)
    download_file(url, target, digest)
    assert target.read_bytes() == DATA
    assert server.sent == len(DATA) - 400_000 * bool(digest)


def test_a_server_without_ranges_starts_anew(server, url, target):
    leave_part(server, url, target, 400_000)
    server.ranges = False
    download_file(url, target, SHA256)
    assert target.read_bytes() == DATA
    assert 'Range' in server.requests[0] and len(server.requests) == 1


def test_a_server_without_ranges_that_always_cuts_ends(server, url, target):
    server.ranges, server.always_cut = False, 400_000
    with pytest.raises(ConnectionError, match='3 retries'):
        download_file(url, target, retries=3, backoff=0)
    assert len(server.requests) == 1 + 3 + 1  # the first cut counts as progress
    assert not target.exists()


@pytest.mark.parametrize('honest', [True, False])
def test_another_version_is_not_glued_to_the_part(server, url, target, honest, monkeypatch):
    """Also where a server takes the range, but ignores If-Range."""

    def publish(_: float) -> None:
        server.files['birds.tgz'], server.etag = DATA[::-1], '"two"'

    server.cuts, server.if_range = [400_000], honest
    monkeypatch.setattr('dva_mm.prepare.download.time.sleep', publish)
    download_file(url, target)
    assert target.read_bytes() == DATA[::-1]


def test_a_part_of_another_version_does_not_pass_the_checksum(server, url, target):
    leave_part(server, url, target, 400_000)
    server.files['birds.tgz'] = DATA[::-1]
    digest = f'sha256:{hashlib.sha256(DATA[::-1]).hexdigest()}'
    with pytest.raises(ValueError):
        download_file(url, target, digest)
    assert download_file(url, target, digest).read_bytes() == DATA[::-1]


@pytest.mark.parametrize('etag', [None, 'W/"weak"'])
@pytest.mark.parametrize('digest', [SHA256, None])
def test_only_a_name_or_a_checksum_allows_to_resume(server, url, target, etag, digest):
    server.etag, server.cuts = etag, [400_000]
    download_file(url, target, digest, backoff=0)
    assert server.requests[1].get('Range') == ('bytes=400000-' if digest else None)
    assert 'If-Range' not in server.requests[1]
    assert target.read_bytes() == DATA


@pytest.mark.parametrize('extra', [b'', b'more'])
def test_a_part_as_long_as_the_file_or_longer(server, url, target, extra):
    leave_part(server, url, target, 400_000)
    target.with_name('birds.tgz.part').write_bytes(DATA + extra)
    download_file(url, target, SHA256, backoff=0)
    assert server.sent == (len(DATA) if extra else 0)
    assert target.read_bytes() == DATA


def test_a_wrong_checksum_keeps_nothing(server, url, target):
    wrong = f'sha256:{"0" * 64}'
    with pytest.raises(ValueError) as error:
        download_file(url, target, wrong)
    assert all(text in str(error.value) for text in (wrong, SHA256, url))
    assert names(target) == []


def test_a_refusal_is_not_repeated(server, url, target):
    server.statuses = [403]
    with pytest.raises(ConnectionError, match='birds.tgz.* 403'):
        download_file(url, target)
    assert len(server.requests) == 1


def test_passing_faults_are_repeated_with_growing_pauses(server, url, target, monkeypatch):
    pauses = []
    monkeypatch.setattr('dva_mm.prepare.download.time.sleep', pauses.append)
    server.statuses = [503, 429, 500, 502]
    download_file(url, target, backoff=1.5)
    assert target.read_bytes() == DATA
    assert pauses == [1.5, 3, 6, 12]


def test_giving_up_keeps_the_part_and_says_where(server, url, target):
    server.cuts, server.always_cut = [400_000], 0
    part = target.with_name('birds.tgz.part')
    with pytest.raises(ConnectionError, match=f'400,000 .*{part}'):
        download_file(url, target, retries=2, backoff=0)
    assert part.stat().st_size == 400_000
    server.server_close()  # nobody is there
    with pytest.raises(ConnectionError, match='2 retries'):
        download_file(url, target, retries=2, backoff=0)


def test_other_addresses(target):
    for bad in ('file:///etc/passwd', '/tmp/a.zip'):
        with pytest.raises(ValueError, match=bad):
            download_file(bad, target)


def test_verify(tmp_path):
    path = tmp_path / 'a.zip'
    path.write_bytes(DATA)
    assert verify(path, None) == SHA256
    assert verify(path, MD5) == MD5
    with pytest.raises(ValueError, match=rf'(?s)a.zip.*md5:00.*{MD5}'):
        verify(path, 'md5:' + '0' * 32)
