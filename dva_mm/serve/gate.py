"""What of Gradio's server a visitor reaches, and how often; all else is refused before Gradio."""

import json
import os
import re
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import Limits, Rate
from .pictures import make_room

API = '/gradio_api/'
QUESTIONS = ('call/', 'queue/join')
OPEN = dict(
    GET=('info', 'startup-events', 'heartbeat/', 'queue/data', 'call/'),
    POST=('upload', 'cancel', 'reset', *QUESTIONS),
)
"""Of Gradio's API: names, and beginnings of names. There is no way to files, proxies or pages."""
PAGES = ('/', '/page.css', '/page.js', '/config')
MOST_JSON = 100_000
HOST = re.compile(r'(\[[^\]]+\]|[^:\[\]]+)(?::\d+)?')
HEADERS = {
    'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
}


class Gate:
    """ASGI middleware around a page.

    It refuses what the page and Gradio's client do not need (404), a request of another site or
    for another name than this machine's (403), a body that is too long or of unknown length (413,
    411), too many requests of one address (429), and a question that names a file which is no
    upload of this server (400).

    Args:
        app: What is behind it.
        limits: See :class:`~dva_mm.serve.Limits`.
        uploads: Folder where Gradio puts the uploads.
        hosts: Names by which the page is asked for; None: any. Defaults to None.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, uploads: Path, hosts: set[str] | None = None
    ) -> None:
        self.app, self.limits, self.hosts = app, limits, hosts
        self.uploads = Path(os.path.realpath(uploads))
        self.rate = Rate(limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
            return
        if scope['type'] != 'http':
            return
        refusal = self._refusal(scope)
        if refusal is None and scope['method'] == 'POST':
            path = scope['path'].removeprefix(API)
            if path == 'upload':
                make_room(self.uploads, self.limits.uploads - 1)
            else:
                try:
                    body = await _read_json(receive, MOST_JSON)
                    self._check_files(body)
                    scope, receive = _with_body(scope, json.dumps(body).encode(), receive)
                except (ValueError, RecursionError) as error:
                    refusal = _refuse(400, str(error))

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                own = {name.lower() for name, _ in message['headers']}
                added = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
                message['headers'] = [*message['headers'], *(p for p in added if p[0] not in own)]
            await send(message)

        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers, method, path = Headers(scope=scope), scope['method'], scope['path']
        host = headers.get('host', '')
        name = HOST.fullmatch(host)
        if self.hosts is not None and (name is None or name[1].strip('[]') not in self.hosts):
            return _refuse(403, f'this page has no name {host!r}')
        if 'origin' in headers and headers['origin'].partition('://')[2] != host:
            return _refuse(403, 'this page answers no other site')
        if not is_open(method, path):
            return _refuse(404, 'there is no such page')
        if method != 'POST':
            return None
        length = headers.get('content-length', '')
        if not length.isdigit():
            return _refuse(411, 'the length of the request must be given')
        upload = path == f'{API}upload'
        most = self.limits.upload_bytes + 4096 if upload else MOST_JSON  # with multipart's lines
        if int(length) > most:
            return _refuse(413, f'too large: at most {most / 1e6:.3g} MB are taken')
        asks = path.removeprefix(API).startswith(('upload', *QUESTIONS))
        wait = self.rate.wait((scope.get('client') or [''])[0]) if asks else 0
        if wait:
            text = f'too many requests: {self.limits.rate} a minute are answered'
            return _refuse(429, text, {'retry-after': str(int(wait) + 1)})
        return None

    def _check_files(self, value: Any, top: bool = True) -> None:
        """Gradio takes any object of this form for a file to read, or for an address to fetch."""
        if isinstance(value, dict) and not top:
            path = value.get('path')
            plain = isinstance(path, str) and '\0' not in path and '://' not in path
            real = Path(os.path.realpath(path)) if plain else None
            if real is None or real.parent.parent != self.uploads:
                raise ValueError('a picture is one that was uploaded to this server')
            value.update(url=None, is_stream=False, path=str(real))
        elif isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                self._check_files(one, top=False)


def is_open(method: str, path: str) -> bool:
    """Whether a visitor reaches a path.

    >>> is_open('GET', '/gradio_api/info'), is_open('GET', '/gradio_api/file=/etc/passwd')
    (True, False)
    """
    if not path.startswith(API):
        return method in ('GET', 'HEAD') and path in PAGES
    name = path.removeprefix(API)
    for known in OPEN.get(method, ()):
        rest = name.removeprefix(known)
        if name == known or (known.endswith('/') and rest != name and '..' not in rest):
            return True
    return False


def _refuse(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(dict(detail=text, error=text), status, headers)


async def _read_json(receive: Receive, most: int) -> dict[str, Any]:
    """The object that a body holds.

    Raises:
        ValueError: If it is none, or longer than ``most`` bytes.
    """
    body = b''
    while True:
        message = await receive()
        body += message.get('body', b'')
        if len(body) > most or message['type'] == 'http.disconnect':
            raise ValueError('the request is too long, or was broken off')
        if not message.get('more_body'):
            break
    try:
        value = json.loads(body)
    except ValueError as error:
        raise ValueError('the request is no JSON') from error
    if not isinstance(value, dict):
        raise ValueError('the request is no object of JSON')
    return value


def _with_body(scope: Scope, body: bytes, receive: Receive) -> tuple[Scope, Receive]:
    """The request with the body that was checked: what lies behind parses no other one."""
    kept = [(n, v) for n, v in scope['headers'] if n not in (b'content-length', b'content-type')]
    new = [(b'content-length', str(len(body)).encode()), (b'content-type', b'application/json')]
    rest: list[Message] = [dict(type='http.request', body=body, more_body=False)]

    async def receive_checked() -> Message:
        return rest.pop() if rest else await receive()

    return {**scope, 'headers': [*kept, *new]}, receive_checked
