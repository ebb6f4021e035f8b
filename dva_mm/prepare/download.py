"""Download a file over connections that break, and verify it."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dva_mm import __version__

_CHUNK = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers to what may succeed later
_CUT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def download_file(
    url: str,
    target: str | Path,
    digest: str | None = None,
    retries: int = 5,
    timeout: float = 30.0,
    backoff: float = 1.0,
) -> Path:
    """Download ``url`` to ``target``, which gets its name only once the checksum is right.

    A cut connection is resumed by an HTTP range request. An interrupted download stays as
    ``target.part``; a later call resumes it where ``digest`` can tell whether the parts fit.

    Args:
        url: http or https address.
        target: File to write; its folder is made.
        digest: 'sha256:HEX' or 'md5:HEX' that the file must have, or None.
        retries: Attempts after a cut connection that bring nothing new.
        timeout: Seconds without a byte until a connection counts as cut.
        backoff: Seconds before the first retry, doubled for each further one.

    Raises:
        ValueError: If ``url`` is not http(s), or the checksum is wrong; then nothing is kept.
        ConnectionError: If the server refuses, or stays out of reach; then the part is kept.

    >>> download_file('ftp://example.org/birds.zip', 'birds.zip')
    Traceback (most recent call last):
        ...
    ValueError: can only download http and https addresses, got 'ftp://example.org/birds.zip'
    """
    if urlsplit(url).scheme not in ('http', 'https'):
        raise ValueError(f'can only download http and https addresses, got {url!r}')
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.part')
    if digest is None:
        part.unlink(missing_ok=True)
    versions: list[str] = []  # of the file, as the server names them
    best, failures = _size(part), 0
    while True:
        error = 'the connection was cut'
        try:
            if _fetch(url, part, versions, digest is not None, timeout):
                break
        except urllib.error.HTTPError as refusal:
            if refusal.code not in _PASSING:
                raise ConnectionError(
                    f'{url}: the server answers {refusal.code} {refusal.reason}'
                ) from refusal
            error = refusal
        except _CUT as cut:
            error = cut
        # A server without ranges brings the same bytes again and again: that is no progress.
        failures = 0 if _size(part) > best else failures + 1
        best = max(best, _size(part))
        if failures > retries:
            raise ConnectionError(
                f'{url}: gave up after {retries} retries ({error}); {_size(part):,} bytes are kept '
                f'in {part}. Run the same command again'
            )
        tqdm.write(f'{target.name}: {error}; trying again')
        time.sleep(backoff * 2 ** max(0, failures - 1))
    try:
        verify(part, digest, target.name)
    except ValueError as wrong:
        part.unlink()
        raise ValueError(
            f'{wrong}\nThe download was deleted. Run the same command again; if this repeats, '
            f'{url} no longer serves the published file'
        ) from wrong
    return part.replace(target)


def verify(path: str | Path, digest: str | None, name: str | None = None) -> str:
    """Compute a file's checksum, in the form of ``digest``, and compare it.

    Args:
        path: The file.
        digest: Expected 'sha256:HEX' or 'md5:HEX'; None computes SHA-256 and compares nothing.
        name: What to call the file; by default its name.

    Raises:
        ValueError: If it differs.

    >>> verify('/dev/null', 'md5:d41d8cd98f00b204e9800998ecf8427e')
    'md5:d41d8cd98f00b204e9800998ecf8427e'
    """
    algorithm = (digest or 'sha256:').partition(':')[0]
    with open(path, 'rb') as file:
        actual = f'{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}'
    if digest is not None and actual != digest.lower():
        name = name or Path(path).name
        raise ValueError(f'{name} has a wrong checksum:\n  expected {digest}\n  got      {actual}')
    return actual


def _fetch(url: str, part: Path, versions: list[str], verified: bool, timeout: float) -> bool:
    """One request that appends to ``part`` or writes it anew: is the file whole now?"""
    have = _size(part)
    headers = {'User-Agent': f'dva_mm/{__version__}', 'Accept-Encoding': 'identity'}
    # Without a name for the version, only a checksum can tell whether two halves belong together.
    if have and (versions or verified):
        headers['Range'] = f'bytes={have}-'
        if versions:
            headers['If-Range'] = versions[-1]
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as refusal:
        if refusal.code != 416 or 'Range' not in headers:
            raise
        if refusal.headers.get('Content-Range') == f'bytes */{have}':
            return True  # the last run was interrupted between the last byte and the renaming
        part.unlink()
        return False
    with response:
        etag, sent = response.headers.get('ETag'), response.headers.get('Content-Range', '')
        # If-Range takes no weak ETag: it may name two versions that differ by bytes.
        version = response.headers.get('Last-Modified') if (etag or 'W/')[:2] == 'W/' else etag
        if response.status == 206:
            other = versions and version and version != versions[-1]
            if other or not sent.startswith(f'bytes {have}-'):
                part.unlink()  # the server ignores If-Range, or sends another piece
                return False
            total = sent.rpartition('/')[2]
        else:
            have, total = 0, response.headers.get('Content-Length') or '*'
            versions[:] = [version] if version else []
        size = None if total == '*' else int(total)
        with (
            open(part, 'ab' if have else 'wb') as file,
            tqdm(desc=part.stem, total=size, initial=have, unit='B', unit_scale=True) as bar,
        ):
            while chunk := response.read1(_CHUNK):  # what came before a cut is kept
                file.write(chunk)
                bar.update(len(chunk))
    return size is None or _size(part) == size


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
