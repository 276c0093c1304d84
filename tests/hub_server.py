"""A Hugging Face hub of one's own machine: it keeps what is pushed to it, and gives it, or misbehaves as it is told."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = '0' * 40


class Hub(ThreadingHTTPServer):
    """Repositories: name to file to content. ``cut`` are files of which half of what is announced is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that leave early."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server: Hub

    def do_HEAD(self) -> None:
        self._give(body=False)

    def do_GET(self) -> None:
        self._give(body=True)

    def do_POST(self) -> None:
        path = self._asked()
        length = self.headers.get('Content-Length')
        sent = self.rfile.read(int(length)) if length else self._rest()
        if path == '/api/repos/create':
            asked = json.loads(sent)
            name = '/'.join(filter(None, (asked.get('organization'), asked['name'])))
            self.server.repositories.setdefault(name, {})
            self._answer(200, {'url': f'{self.server.url}/{name}'})
        elif path == '/api/validate-yaml':
            self._answer(200, {'errors': [], 'warnings': []})
        elif '/preupload/' in path:
            paths = [file['path'] for file in json.loads(sent)['files']]
            modes = [{'path': path, 'uploadMode': 'regular', 'shouldIgnore': False} for path in paths]
            self._answer(200, {'files': modes})
        elif '/commit/' in path:
            name = path.removeprefix('/api/models/').partition('/commit/')[0]
            for line in map(json.loads, sent.splitlines()):
                if line['key'] == 'file':
                    content = base64.b64decode(line['value']['content'])
                    self.server.repositories[name][line['value']['path']] = content
            url = f'{self.server.url}/{name}/commit/{COMMIT}'
            self._answer(200, {'success': True, 'commitOid': COMMIT, 'commitUrl': url, 'hookOutput': ''})
        else:
            self._answer(404, {'error': 'not found'})

    def _asked(self) -> str:
        self.server.requests.append(f'{self.command} {self.path}')
        return urlsplit(self.path).path

    def _rest(self) -> bytes:
        """Read a body that is sent in chunks."""
        body = b''
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _give(self, body: bool) -> None:
        name, _, rest = self._asked().lstrip('/').partition('/resolve/')
        file = rest.partition('/')[2]
        if name not in self.server.repositories:
            self._answer(404, {'error': 'Repository not found'}, X_Error_Code='RepoNotFound')
        elif file not in self.server.repositories[name]:
            self._answer(404, {'error': 'Entry not found'}, X_Error_Code='EntryNotFound')
        else:
            content = self.server.repositories[name][file]
            tag = hashlib.sha256(content).hexdigest()
            self._start(200, ETag=f'"{tag}"', X_Repo_Commit=COMMIT, Content_Length=len(content))
            if body:
                self.wfile.write(content[: len(content) // 2] if file in self.server.cut else content)

    def _answer(self, status: int, told: dict[str, object], **headers: object) -> None:
        content = json.dumps(told).encode()
        self._start(status, Content_Length=len(content), Content_Type='application/json', **headers)
        if self.command != 'HEAD':
            self.wfile.write(content)

    def _start(self, status: int, **headers: object) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in {'Connection': 'close', **headers}.items():
            self.send_header(name.replace('_', '-'), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
