"""Download a file over connections that break, and verify it."""

import errno
import hashlib
import http.client
import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dva_mm import __version__

_CHUNK = 1 << 18
# What a server says when the same request may succeed later.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
# What ends a connection that another attempt may bring further.
_CUT = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


def download_file(
    url: str,
    target: str | Path,
    digest: str | None = None,
    retries: int = 5,
    timeout: float = 30.0,
    backoff: float = 1.0,
) -> Path:
    """Download ``url`` to ``target``, which gets its name only once the checksum is right.

    An interrupted download stays as ``target.part`` and is resumed by an HTTP range request, in
    this call or in a later one. Where the server does not know ranges, or has another version of
    the file by now (``If-Range``), the download starts anew.

    Args:
        url: http or https address.
        target: File to write; its folder is made.
        digest: 'sha256:HEX' or 'md5:HEX' that the file must have, or None.
        retries: Attempts after a cut connection that bring nothing new. Defaults to 5.
        timeout: Seconds without a byte until a connection counts as cut. Defaults to 30.
        backoff: Seconds before the first retry, doubled for each further one. Defaults to 1.

    Raises:
        ValueError: if ``url`` is not http(s), or the checksum is wrong; then nothing is kept.
        ConnectionError: if the server refuses, or stays out of reach; then the part is kept.
        OSError: if the disk has no room for the file.
    """
    if urlsplit(url).scheme not in ('http', 'https'):
        raise ValueError(f'can only download http and https addresses, got {url!r}')
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.part')
    state = target.with_name(f'{target.name}.part.json')
    best, failures = _size(part), 0
    while True:
        try:
            if _fetch(url, part, state, digest is not None, timeout):
                break
            error: object = 'the connection was cut'
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
                f'in {part}. Run the same command again to resume'
            )
        wait = backoff * 2 ** max(0, failures - 1)
        tqdm.write(f'{target.name}: {error}; trying again in {wait:g} s')
        time.sleep(wait)
    try:
        verify(part, digest, target.name)
    except ValueError as wrong:
        part.unlink()
        raise ValueError(
            f'{wrong}\nThe download was deleted. Run the same command again; if this repeats, '
            f'{url} no longer serves the published file'
        ) from wrong
    finally:
        state.unlink(missing_ok=True)
    return part.replace(target)


def verify(path: str | Path, digest: str | None, name: str | None = None) -> str:
    """Compute a file's checksum and compare it.

    Args:
        path: The file.
        digest: Expected 'sha256:HEX' or 'md5:HEX'; None computes SHA-256 and compares nothing.
        name: What to call the file; by default its name.

    Returns:
        The checksum, in the form of ``digest``.

    Raises:
        ValueError: if it differs; names the expected and the actual checksum.
    """
    path = Path(path)
    name = name or path.name
    algorithm = (digest or 'sha256:').partition(':')[0]
    state = hashlib.new(algorithm)
    with open(path, 'rb') as file, _bar(f'verify {name}', path.stat().st_size) as bar:
        while chunk := file.read(1 << 20):
            state.update(chunk)
            bar.update(len(chunk))
    actual = f'{algorithm}:{state.hexdigest()}'
    if digest is not None and actual != digest.lower():
        raise ValueError(f'{name} has a wrong checksum:\n  expected {digest}\n  got      {actual}')
    return actual


def _fetch(url: str, part: Path, state: Path, verified: bool, timeout: float) -> bool:
    """One request that appends to ``part`` or writes it anew: is the file whole now?"""
    have = _size(part)
    validator = _read_state(state, url)
    headers = {'User-Agent': f'dva_mm/{__version__}', 'Accept-Encoding': 'identity'}
    # Without a name for the version, only a checksum can tell whether two halves belong together.
    if have and (validator or verified):
        headers['Range'] = f'bytes={have}-'
        if validator:
            headers['If-Range'] = validator
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as refusal:
        if refusal.code != 416 or 'Range' not in headers:
            raise
        if refusal.headers.get('Content-Range') == f'bytes */{have}':
            return True  # the last run was interrupted between the last byte and the renaming
        part.unlink()
        return False
    with response:
        found = _validator(response.headers)
        if response.status == 206:
            match = re.fullmatch(
                r'bytes (\d+)-\d+/(\d+|\*)', response.headers.get('Content-Range', '')
            )
            same = not (validator and found) or validator == found
            if match is None or int(match[1]) != have or not same:
                part.unlink()  # the server ignores If-Range, or sends another piece
                return False
            total = None if match[2] == '*' else int(match[2])
        else:
            have = 0
            length = response.headers.get('Content-Length')
            total = None if length is None else int(length)
            state.write_text(json.dumps(dict(url=url, validator=found)))
        _need_room(part.parent, 0 if total is None else total - have)
        with (
            open(part, 'ab' if have else 'wb') as file,
            _bar(part.stem, total, have) as bar,
        ):
            while chunk := response.read1(_CHUNK):  # what came before a cut is kept
                file.write(chunk)
                bar.update(len(chunk))
    return total is None or _size(part) == total


def _validator(headers: http.client.HTTPMessage) -> str | None:
    etag = headers.get('ETag')
    # If-Range takes no weak ETag: it may name two versions that differ by bytes.
    return headers.get('Last-Modified') if etag is None or etag.startswith('W/') else etag


def _read_state(state: Path, url: str) -> str | None:
    try:
        saved = json.loads(state.read_text())
    except (OSError, ValueError):
        return None
    return saved['validator'] if saved['url'] == url else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _need_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f'no room for the download: {needed:,} bytes are needed, {free:,} are free',
            str(folder),
        )


def _bar(title: str, total: int | None, done: int = 0) -> tqdm:
    return tqdm(desc=title, total=total, initial=done, unit='B', unit_scale=True, unit_divisor=1024)
