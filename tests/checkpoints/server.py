"""A server of one's own machine that gives a file, or misbehaves as it is told."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[['Handler'], None]


class Server(ThreadingHTTPServer):
    """Gives ``content`` at any path; ``script`` says how the next requests are answered, the last of it all others."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.content = bytes(range(256)) * 1000
        self.tag = '"one"'
        self.script: list[Behaviour] = [whole]
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.go_on = threading.Event()
        self.stalled = threading.Event()

    def url(self, path: str = 'release/moganet.pth') -> str:
        return f'http://127.0.0.1:{self.server_port}/{path}'

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that leave early."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        behave = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        self.close_connection = True
        behave(self)

    def start(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in {'Connection': 'close', **headers}.items():
            self.send_header(name.replace('_', '-'), str(value))
        self.end_headers()

    def asked(self, check: bool = True) -> int:
        """Return where the wanted range begins, 0 when all is wanted or the version is another."""
        start = re.match(r'bytes=(\d+)-', self.headers.get('Range', ''))
        fits = not check or self.headers.get('If-Range') == self.server.tag
        return int(start[1]) if start and fits else 0

    def begin(self, start: int, **headers: object) -> bytes:
        """Send what precedes the content; return the content."""
        content = self.server.content
        if start:
            headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
        if self.server.tag:
            headers['ETag'] = self.server.tag
        headers = {'Content-Length': len(content) - start, 'Content-Type': 'application/octet-stream', **headers}
        self.start(206 if start else 200, **headers)
        return content[start:]

    def log_message(self, format: str, *args: object) -> None:
        pass


def whole(handler: Handler) -> None:
    """As it should be, ranges included."""
    handler.wfile.write(handler.begin(handler.asked()))


def without_ranges(handler: Handler) -> None:
    handler.wfile.write(handler.begin(0))


def careless(handler: Handler) -> None:
    """The wanted range, of whatever version."""
    handler.wfile.write(handler.begin(handler.asked(check=False)))


def short(handler: Handler) -> None:
    """Half of what was announced."""
    content = handler.begin(handler.asked())
    handler.wfile.write(content[: len(content) // 2])


def reset(handler: Handler) -> None:
    """Half of what was announced, and a hard end."""
    short(handler)
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    handler.connection.close()


def stall(handler: Handler) -> None:
    """Half of what was announced, and nothing more until ``go_on``."""
    content = handler.begin(handler.asked())
    handler.wfile.write(content[: len(content) // 2])
    handler.server.stalled.set()
    handler.server.go_on.wait(20)
    handler.wfile.write(content[len(content) // 2 :])


def chunked(handler: Handler) -> None:
    """Without a length."""
    handler.start(200, Transfer_Encoding='chunked')
    content = handler.server.content
    handler.wfile.write(b'%x\r\n%s\r\n0\r\n\r\n' % (len(content), content))


def chunked_and_cut(handler: Handler) -> None:
    handler.start(200, Transfer_Encoding='chunked')
    handler.wfile.write(b'%x\r\nabc' % len(handler.server.content))


def status(code: int) -> Behaviour:
    """An error, with the page that servers send along."""

    def behave(handler: Handler) -> None:
        page = b'<html><title>error</title></html>'
        handler.start(code, Content_Length=len(page), Content_Type='text/html')
        handler.wfile.write(page)

    return behave


def page(text: bytes, kind: str) -> Behaviour:
    """A success that is no file."""

    def behave(handler: Handler) -> None:
        handler.start(200, Content_Length=len(text), Content_Type=kind)
        handler.wfile.write(text)

    return behave


def sent_on(handler: Handler) -> None:
    """As the release pages do."""
    handler.start(302, Location='/stored/1234', Content_Length=0)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
