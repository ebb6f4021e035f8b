"""A local server that behaves as badly as real ones."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server(ThreadingHTTPServer):
    """Serves ``files``; the attributes say how well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.url = f'http://127.0.0.1:{self.server_address[1]}'
        self.files: dict[str, bytes] = {}
        self.ranges = True  # knows Range
        self.if_range = True  # compares If-Range
        self.length = True  # sends Content-Length
        self.etag: str | None = '"one"'
        self.statuses: list[int] = []  # answers of the next requests
        self.cuts: list[int] = []  # bytes after which the next bodies end
        self.always_cut: int | None = None
        self.stalls = 0  # so many bodies stop in the middle, and the connection stays open
        self.release = threading.Event()
        self.requests: list[dict[str, str]] = []
        self.sent = 0

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers) | {'path': self.path})
        status = server.statuses.pop(0) if server.statuses else 200
        if status != 200:
            return self.send_error(status)
        data = server.files.get(self.path.lstrip('/'))
        if data is None:
            return self.send_error(404)
        start = 0
        match = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        version = self.headers.get('If-Range', server.etag)
        if match and server.ranges and (version == server.etag or not server.if_range):
            start = int(match[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header('Content-Range', f'bytes */{len(data)}')
                self.send_header('Content-Length', '0')
                return self.end_headers()
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
        else:
            self.send_response(200)
        if server.etag:
            self.send_header('ETag', server.etag)
        if server.length:
            self.send_header('Content-Length', str(len(data) - start))
        self.end_headers()
        body = data[start:]
        cut = server.cuts.pop(0) if server.cuts else server.always_cut
        if server.stalls:
            server.stalls -= 1
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            server.release.wait(20)
            return None
        body = body if cut is None else body[:cut]
        server.sent += len(body)
        self.wfile.write(body)
        return None

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    # The default poll interval of half a second would be the cost of each shutdown.
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()
