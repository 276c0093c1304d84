"""One file over HTTP, from a server that misbehaves in each way that is told apart."""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
from pathlib import Path

import pytest

from moganet.checkpoints import cache, transfer
from moganet.checkpoints.download import cached_path, fetch

from . import server as behave
from .failures import failure, left, ranges
from .server import Server

pytestmark = pytest.mark.usefixtures('quick')

OTHER = bytes(reversed(range(256))) * 1000
ATTEMPTS = 1 + len(transfer.BACK_OFF_S)


def half_here(server: Server) -> str:
    """A URL of which the first half lies in the cache; the server says what it likes from then on."""
    server.script = [behave.short, behave.status(404)]
    failure(server.url())
    part = cached_path(server.url()).with_name('moganet.pth.part')
    assert part.read_bytes() == server.content[: len(server.content) // 2]
    server.requests.clear()
    server.script = [behave.whole]
    return server.url()


@pytest.mark.parametrize(
    'code, told',
    [
        (404, r'there is no such file on the server \(404 Not Found\)'),
        (410, 'there is no such file'),
        (401, 'refuses to give it'),
        (403, r'the server or a proxy refuses to give it \(403 Forbidden\)'),
        (407, 'refuses to give it'),
        (418, 'the server answered 418'),
        (204, 'the server answered 204'),
    ],
)
def test_what_another_attempt_would_not_mend(server, code, told):
    server.script = [behave.status(code)]
    assert re.search(told, failure(server.url()))
    assert len(server.requests) == 1


@pytest.mark.parametrize('code', [408, 429, 500, 502, 503])
def test_a_server_that_fails_is_asked_a_few_times(server, code):
    server.script = [behave.status(code)]
    assert f'the server failed ({code} ' in (text := failure(server.url())) and f'), {ATTEMPTS} times;' in text
    assert len(server.requests) == ATTEMPTS
    server.script = [behave.status(code), behave.status(code), behave.whole]
    assert fetch(server.url()).read_bytes() == server.content


def test_attempts_wait_longer_each_time(server, monkeypatch):
    waited = []
    monkeypatch.setattr(transfer, 'BACK_OFF_S', (1.0, 3.0))
    monkeypatch.setattr(transfer.time, 'sleep', waited.append)
    server.script = [behave.status(503)]
    failure(server.url())
    assert waited == [1.0, 3.0]


@pytest.mark.parametrize(
    'text, kind',
    [
        (b'<p><title>Log\n in</title>', 'text/html; charset=utf-8'),
        (b'\n<!DOCTYPE html><title>Log in</title>', 'application/octet-stream'),
        (b'<HTML><head><title lang="en">Log in</title>', 'binary/octet-stream'),
    ],
)
def test_a_page_is_no_file(server, text, kind):
    server.script = [behave.page(text, kind)]
    assert 'the server sent an HTML page (Log in) instead of the file' in failure(server.url())
    assert len(server.requests) == 1
    assert left(server) == set() and cache.url_sha256(server.url()) is None


def test_an_empty_file_is_no_file(server):
    server.content = b''
    assert 'an empty file' in failure(server.url())
    assert not cached_path(server.url()).exists()


@pytest.mark.parametrize('cut', [behave.short, behave.reset])
def test_a_cut_connection_is_gone_on_with(server, cut):
    server.script = [cut, behave.whole]
    assert fetch(server.url()).read_bytes() == server.content
    assert ranges(server) == [None, f'bytes={len(server.content) // 2}-']
    assert server.requests[1][1]['if-range'] == '"one"'


def test_a_short_file_is_told_after_a_few_attempts(server):
    server.script = [behave.short]
    server.tag = ''  # from the start each time
    text = failure(server.url())
    told = f'the connection ended after {len(server.content) // 2} of {len(server.content)} bytes'
    assert f'{told}, {ATTEMPTS} times;' in text
    assert ranges(server) == [None] * ATTEMPTS and not cached_path(server.url()).exists()


def test_a_later_run_goes_on(server):
    url = half_here(server)
    assert fetch(url).read_bytes() == server.content
    assert ranges(server) == [f'bytes={len(server.content) // 2}-']


def test_a_date_serves_where_there_is_no_tag(server):
    def dated(handler, share=1.0):
        content = handler.begin(handler.asked(), Last_Modified='Mon, 01 Jan 2024 00:00:00 GMT')
        handler.wfile.write(content[: int(share * len(content))])

    server.tag = ''
    server.script = [lambda handler: dated(handler, 0.5), dated]
    assert fetch(server.url()).read_bytes() == server.content
    assert server.requests[1][1]['if-range'] == 'Mon, 01 Jan 2024 00:00:00 GMT'


def test_a_weak_tag_is_not_gone_on_with(server):
    server.tag = 'W/"one"'
    server.script = [behave.short, behave.whole]
    assert fetch(server.url()).read_bytes() == server.content
    assert ranges(server) == [None, None]


def test_a_server_without_ranges_begins_anew(server):
    url = half_here(server)
    server.script = [behave.without_ranges]
    assert fetch(url).read_bytes() == server.content
    assert len(server.requests) == 1


@pytest.mark.parametrize('answer', [behave.whole, behave.careless])
def test_a_file_that_changed_meanwhile_begins_anew(server, answer):
    url = half_here(server)
    server.content, server.tag, server.script = OTHER, '"two"', [answer]
    assert fetch(url).read_bytes() == OTHER


def test_a_range_that_is_none_begins_anew(server):
    url = half_here(server)
    server.script = [behave.status(416), behave.whole]
    assert fetch(url).read_bytes() == server.content
    assert ranges(server) == [f'bytes={len(server.content) // 2}-', None]


def test_a_torn_note_begins_anew(server):
    url = half_here(server)
    (note,) = cached_path(url).parent.glob('*.part.json')
    assert json.loads(note.read_text()) == {'version': '"one"'}
    note.write_text('{"version": ')
    assert fetch(url).read_bytes() == server.content
    assert ranges(server) == [None]


def test_release_pages_send_on(server):
    server.script = [behave.sent_on, behave.short, behave.sent_on, behave.whole]
    assert fetch(server.url()).read_bytes() == server.content
    assert [path for path, _ in server.requests] == ['/release/moganet.pth', '/stored/1234'] * 2
    assert ranges(server)[-1] == f'bytes={len(server.content) // 2}-'


def test_a_length_need_not_be_told(server):
    server.script = [behave.chunked_and_cut, behave.chunked]
    assert fetch(server.url()).read_bytes() == server.content
    server.script = [behave.chunked_and_cut]
    assert 'broke (IncompleteRead' in failure(server.url('other.pth'))


def test_a_stalled_connection_is_left(server, monkeypatch):
    monkeypatch.setattr(transfer, 'TIMEOUT_S', 0.2)
    server.script = [behave.stall, behave.whole]
    assert fetch(server.url()).read_bytes() == server.content
    server.script = [behave.stall]
    assert 'the connection to 127.0.0.1 stalled: no byte came for 0.2 s' in failure(server.url('other.pth'))


def test_a_refused_connection():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    assert 'the connection was refused by 127.0.0.1' in failure(f'http://127.0.0.1:{port}/x.pth')


def test_no_network(monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    def unreachable(*arguments, **options):
        raise OSError(errno.ENETUNREACH, 'Network is unreachable')

    url = 'http://download.invalid/x.pth'
    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    assert 'no network, or no such host: download.invalid cannot be resolved (Name or' in failure(url)
    monkeypatch.setattr(socket, 'create_connection', unreachable)
    assert 'no network: download.invalid cannot be reached (Network is unreachable)' in failure(url)


def test_proxies_are_honoured_and_named(server, monkeypatch):
    url = 'http://download.invalid/x.pth'
    monkeypatch.setenv('http_proxy', f'http://127.0.0.1:{server.server_port}')
    assert fetch(url).read_bytes() == server.content
    assert server.requests[0][0] == url
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    fetch(server.url())
    assert server.requests[1][0] == '/release/moganet.pth'
    monkeypatch.setenv('http_proxy', 'http://me:secret@127.0.0.1:1')
    text = failure('http://download.invalid/y.pth')
    assert 'the connection was refused by the proxy 127.0.0.1;' in text and 'secret' not in text


def test_a_disk_without_room_is_told_before(server, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    assert 'is full: 256.0 kB are needed, 1.0 kB are free; make room, or name' in failure(server.url())
    url = half_here_with_room(server, monkeypatch)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 10**9, 130_000))
    assert fetch(url).read_bytes() == server.content


def half_here_with_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10**9, 0, 10**9))
    return half_here(server)


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='this system has no device that is always full')
def test_a_disk_that_fills_up(server):
    part = cached_path(server.url()).with_name('moganet.pth.part')
    part.parent.mkdir(parents=True)
    part.symlink_to('/dev/full')
    assert f'the disk of {part.parent} is full; make room' in failure(server.url())
    assert len(server.requests) == 1
