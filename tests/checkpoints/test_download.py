"""Downloads into the cache: once, of the right hash, by one process."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from moganet.checkpoints import cache, progress
from moganet.checkpoints.download import cached_path, fetch
from moganet.checkpoints.errors import DownloadError, HashMismatchError

from . import server as behave
from .failures import failure, left, ranges

pytestmark = pytest.mark.usefixtures('quick')

OTHER = bytes(reversed(range(256))) * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
