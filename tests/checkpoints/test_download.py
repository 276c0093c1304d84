"""Downloads, against a server that misbehaves in each way that is told apart."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from moganet.checkpoints import cache, progress, transfer
from moganet.checkpoints.download import cached_path, fetch
from moganet.checkpoints.errors import CheckpointError, DownloadError, HashMismatchError

from . import server as behave
from .server import Server, serving

OTHER = bytes(reversed(range(256))) * 1000
ATTEMPTS = 1 + len(transfer.BACK_OFF_S)


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no proxy, no waiting."""
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
            monkeypatch.delenv(name)
    monkeypatch.setattr(transfer, 'BACK_OFF_S', (0.0,) * (ATTEMPTS - 1))


@pytest.fixture
def server():
    with serving() as running:
        yield running


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def failure(url: str, kind: type[CheckpointError] = DownloadError, **options) -> str:
    """What a fetch that fails says, which always tells how to do without it."""
    with pytest.raises(kind) as caught:
        fetch(url, **options)
    text = str(caught.value)
    assert type(caught.value) is kind and '\n' not in text
    assert f'fetch {url} elsewhere and put the file at {cached_path(url)}' in text
    return text


def half_here(server: Server) -> str:
    """A URL of which the first half lies in the cache; the server says what it likes from then on."""
    server.script = [behave.short, behave.status(404)]
    failure(server.url())
    part = cached_path(server.url()).with_name('moganet.pth.part')
    assert part.read_bytes() == server.content[: len(server.content) // 2]
    server.requests.clear()
    server.script = [behave.whole]
    return server.url()


def left(server: Server) -> set[str]:
    """What lies in the cache of the server's URL."""
    return {path.name for path in cached_path(server.url()).parent.iterdir()} - {'moganet.pth.lock'}


def ranges(server: Server) -> list[str | None]:
    return [headers.get('range') for _, headers in server.requests]


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch(server.url())
    assert path.read_bytes() == server.content
    assert path == cached_path(server.url()) and path.name == 'moganet.pth' and tmp_path / 'cache' in path.parents
    assert cache.url_sha256(server.url()) == cache.known_sha256(path) == sha256(server.content)
    assert fetch(server.url(), sha256(server.content).upper()) == path
    assert len(server.requests) == 1
    assert left(server) == {'moganet.pth'}


def test_nothing_is_hashed_again(server, monkeypatch):
    path = fetch(server.url())
    monkeypatch.setattr(cache, 'hash_file', lambda path: pytest.fail('it was read again'))
    assert fetch(server.url()) == path


def test_files_of_one_name_do_not_collide(server):
    first, content = fetch(server.url('one/moganet.pth')), server.content
    server.content = OTHER
    second = fetch(server.url('two/moganet.pth'))
    assert first.name == second.name
    assert (first.read_bytes(), second.read_bytes()) == (content, OTHER)


def test_names_that_are_no_file_names(server):
    assert cached_path('https://host/a/we%20ights%2F..%2Fx.pth?token=1#top').name == 'we_ights_.._x.pth'
    for url in ('https://host/a/', 'https://host', 'https://host/a/..', 'https://host/%2E%2E'):
        with pytest.raises(DownloadError, match='names no file'):
            fetch(url)
    for url in ('ftp://host/x.pth', 'x.pth', 'http:///x.pth', '/x.pth'):
        with pytest.raises(DownloadError, match='http://, https:// or file:// is needed'):
            fetch(url)
    for url in ('http://[::1/x.pth', server.url('a b.pth'), server.url('\u00e4.pth')):
        with pytest.raises(DownloadError, match='is no valid URL'):
            fetch(url)


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


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'file'))
    assert 'cannot be written' in (text := failure(server.url())) and 'name another folder in MOGANET_CACHE' in text
    assert not server.requests


def test_what_is_there_needs_no_cache_that_can_be_written(server):
    path = fetch(server.url())
    lock = path.with_name('moganet.pth.lock')
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert fetch(server.url()) == path


def test_a_given_hash_is_checked(server):
    text = failure(server.url(), HashMismatchError, sha256='0' * 64)
    assert text.startswith(f'what {server.url()} gave: the sha256 is {sha256(server.content)}, {"0" * 64} was given')
    assert left(server) == set()
    assert cache.url_sha256(server.url()) is None
    assert fetch(server.url(), sha256(server.content)).read_bytes() == server.content
    assert 'delete' in failure(server.url(), HashMismatchError, sha256='1' * 64)
    for wrong in ('', 'abc', 'g' * 64, '0' * 63):
        with pytest.raises(ValueError, match='64 hexadecimal digits are needed'):
            fetch(server.url(), wrong)


def test_a_recorded_hash_is_checked_ever_after(server):
    first = sha256(server.content)
    fetch(server.url()).unlink()
    server.content = OTHER
    text = failure(server.url(), HashMismatchError)
    assert f'{first} was recorded when {server.url()} was first used' in text and 'give its sha256' in text
    assert not cached_path(server.url()).exists()
    # A hash that is given wins, and is the recorded one from then on.
    fetch(server.url(), sha256(OTHER))
    assert cache.url_sha256(server.url()) == sha256(OTHER)
    assert fetch(server.url()).read_bytes() == OTHER


def test_a_file_that_was_altered_in_the_cache(server):
    path = fetch(server.url())
    path.write_bytes(OTHER)
    text = failure(server.url(), HashMismatchError)
    assert text.startswith(f'{path}: the sha256 is {sha256(OTHER)}') and f'delete {path} to have it fetched' in text
    path.unlink()
    assert fetch(server.url()).read_bytes() == server.content


def test_a_file_that_was_put_there_by_hand(server):
    path = cached_path(server.url())
    path.parent.mkdir(parents=True)
    path.write_bytes(OTHER)
    assert fetch(server.url()) == path and path.read_bytes() == OTHER
    assert not server.requests and cache.url_sha256(server.url()) == sha256(OTHER)


def test_files_of_this_machine(tmp_path):
    path = tmp_path / 'a file.pth'
    path.write_bytes(OTHER)
    assert fetch(path.as_uri()) == fetch(path.as_uri(), sha256(OTHER)) == path
    assert fetch(f'file://localhost{path.as_uri()[7:]}') == path
    assert cache.url_sha256(path.as_uri()) is None
    with pytest.raises(HashMismatchError, match=f'its sha256 is {sha256(OTHER)}, {"0" * 64} was given'):
        fetch(path.as_uri(), '0' * 64)
    for url in (f'{path.as_uri()}x', tmp_path.as_uri(), 'file:x.pth'):
        with pytest.raises(DownloadError, match='there is no file'):
            fetch(url)
    with pytest.raises(DownloadError, match='of another machine'):
        fetch('file://elsewhere/x.pth')


def fetch_elsewhere(url: str, errors: Path) -> None:
    import sys

    sys.stderr = errors.open('w')
    fetch(url)


@pytest.fixture
def other_process(server, tmp_path):
    """Another process that has begun to fetch, and hangs until the server goes on."""
    context = multiprocessing.get_context('fork')
    server.script = [behave.stall, behave.whole]
    process = context.Process(target=fetch_elsewhere, args=(server.url(), tmp_path / 'first'))
    process.start()
    assert server.stalled.wait(20)
    yield process
    server.go_on.set()
    process.join(20)


def test_the_second_process_waits_and_says_so(server, tmp_path, other_process):
    context = multiprocessing.get_context('fork')
    second = context.Process(target=fetch_elsewhere, args=(server.url(), tmp_path / 'second'))
    second.start()
    told = tmp_path / 'second'
    for _ in range(400):
        if told.exists() and told.read_text():
            break
        second.join(0.05)
    target = cached_path(server.url())
    assert told.read_text() == f'waiting for another process that downloads {server.url()} to {target}\n'
    assert second.is_alive() and not target.exists()
    server.go_on.set()
    other_process.join(20)
    second.join(20)
    assert (other_process.exitcode, second.exitcode) == (0, 0)
    assert target.read_bytes() == server.content and len(server.requests) == 1
    assert (tmp_path / 'first').read_text() == ''


def test_what_a_killed_process_left_is_gone_on_with(server, other_process):
    part = cached_path(server.url()).with_name('moganet.pth.part')
    for _ in range(400):
        # Its last bytes may lie in a buffer of the process.
        if part.exists() and part.stat().st_size:
            break
        other_process.join(0.05)
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.join(20)
    size = part.stat().st_size
    assert fetch(server.url()).read_bytes() == server.content
    assert ranges(server) == [None, f'bytes={size}-']


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize('terminal', [True, False])
@pytest.mark.parametrize('rank', [None, '0', '1'])
@pytest.mark.parametrize('asked', [True, False])
def test_progress_is_shown_on_a_terminal_once(server, monkeypatch, terminal, rank, asked):
    errors = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr('sys.stderr', errors)
    monkeypatch.setattr(progress, '_UPDATE_S', 0.0)
    monkeypatch.setenv('COLUMNS', '120')
    if rank is not None:
        monkeypatch.setenv('RANK', rank)
    fetch(server.url(), progress=asked)
    if terminal and asked and rank != '1':
        lines = errors.getvalue().split('\r')
        assert lines[1].startswith('moganet.pth: 0 bytes of 256.0 kB (0 %), 0 bytes/s')
        assert lines[-1].startswith('moganet.pth: 256.0 kB of 256.0 kB (100 %), ') and lines[-1].endswith('\n')
        assert all(len(line.rstrip('\n')) == 119 for line in lines[1:])
    else:
        assert errors.getvalue() == ''


@pytest.mark.parametrize(
    'count, text', [(999, '999 bytes'), (1000, '1.0 kB'), (85_350_000, '85.3 MB'), (724_000_000, '724.0 MB'),
                    (1.5e9, '1.50 GB')])
def test_sizes_in_words(count, text):
    assert progress.size_text(count) == text
