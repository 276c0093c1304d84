"""The cache's place, and the hashes that it remembers."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from moganet.checkpoints import cache

HASH = '0123456789abcdef' * 4
OTHER = 'f' * 64


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(b'weights')
    return path


def test_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', '/shared')
    assert cache.cache_dir() == tmp_path / 'cache'
    monkeypatch.setenv('MOGANET_CACHE', '~/mine')
    assert cache.cache_dir() == tmp_path / 'mine'
    monkeypatch.setenv('MOGANET_CACHE', '')
    assert cache.cache_dir() == Path('/shared/moganet/checkpoints')
    for none in ('', 'relative'):
        monkeypatch.setenv('XDG_CACHE_HOME', none)
        assert cache.cache_dir() == tmp_path / '.cache/moganet/checkpoints'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MOGANET_CACHE', 'here')
    assert cache.cache_dir() == tmp_path / 'here'
    assert not list(tmp_path.iterdir())


def test_a_file_and_a_url_are_remembered(file, folder):
    assert cache.known_sha256(file) is None and cache.url_sha256('https://host/x') is None and not folder.exists()
    cache.remember_sha256(file, HASH)
    cache.remember_url('https://host/x', OTHER)
    assert (cache.known_sha256(str(file)), cache.url_sha256('https://host/x')) == (HASH, OTHER)
    assert cache.known_sha256(file.parent / 'y.pth') is None and cache.url_sha256('https://host/y') is None
    assert sorted(path.name for path in folder.iterdir() if path.suffix != '.lock') == ['index.json']


def test_one_file_has_one_entry(file, monkeypatch):
    cache.remember_sha256(file, HASH)
    monkeypatch.chdir(file.parent)
    (file.parent / 'link.pth').symlink_to(file)
    assert cache.known_sha256('x.pth') == cache.known_sha256('link.pth') == HASH
    cache.remember_sha256('link.pth', OTHER)
    assert cache.known_sha256(file) == OTHER


def longer(file: Path) -> None:
    with file.open('ab') as opened:
        opened.write(b'!')
    os.utime(file, ns=(0, 10**18))


def later(file: Path) -> None:
    os.utime(file, ns=(0, 10**18 + 1))


def exchanged(file: Path) -> None:
    new = file.with_name('new')
    new.write_bytes(b'Weights')
    os.utime(new, ns=(0, 10**18))
    new.rename(file)


@pytest.mark.parametrize('change', [longer, later, exchanged, Path.unlink])
def test_a_file_that_changed_is_forgotten(file, change):
    os.utime(file, ns=(0, 10**18))
    cache.remember_sha256(file, HASH)
    assert cache.known_sha256(file) == HASH
    change(file)
    assert cache.known_sha256(file) is None


def test_a_file_that_changed_while_it_was_hashed_is_not_remembered(file):
    seen = file.stat()
    longer(file)
    cache.remember_sha256(file, HASH, seen)
    assert cache.known_sha256(file) is None


@pytest.mark.parametrize('differs, known', [('', HASH), ('st_size', None), ('st_mtime_ns', None), ('st_ino', None),
                                            ('st_dev', None)])  # fmt: skip
def test_what_tells_a_file_from_another(file, differs, known):
    stat = file.stat()
    seen = {name: getattr(stat, name) for name in ('st_size', 'st_mtime_ns', 'st_ino', 'st_dev')}
    cache.remember_sha256(file, HASH, SimpleNamespace(**{name: n + (name == differs) for name, n in seen.items()}))
    assert cache.known_sha256(file) == known


def test_a_file_is_read_once(file, monkeypatch):
    found = hashlib.sha256(b'weights').hexdigest()
    assert cache.file_sha256(file) == found
    monkeypatch.setattr(cache, 'hash_file', lambda path: pytest.fail('it was read again'))
    assert cache.file_sha256(file) == found


@pytest.mark.parametrize(
    'text',
    ['', '{', '[]', 'null', '{"files": 1, "urls": []}', '\x00', '[' * 100_000,
     '{"files": {"FILE": 1}, "urls": {"https://host/x": ["a"]}}',
     '{"files": {"FILE": {"stamp": "STAMP", "sha256": 7}}, "urls": {"https://host/x": "abc"}}'],
)  # fmt: skip
def test_a_torn_index_is_begun_anew(file, folder, text):
    stat = file.stat()
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev]
    folder.mkdir()
    (folder / 'index.json').write_text(text.replace('FILE', str(file)).replace('"STAMP"', json.dumps(stamp)))
    assert cache.known_sha256(file) is None and cache.url_sha256('https://host/x') is None
    cache.remember_sha256(file, HASH)
    cache.remember_url('https://host/x', OTHER)
    assert (cache.known_sha256(file), cache.url_sha256('https://host/x')) == (HASH, OTHER)


def test_an_index_that_is_no_text(file, folder):
    folder.mkdir()
    (folder / 'index.json').write_bytes(b'\xff\xfe\x00')
    assert cache.known_sha256(file) is None


def test_work_goes_on_where_nothing_can_be_written(file, folder, monkeypatch):
    found = hashlib.sha256(b'weights').hexdigest()
    (folder / 'index.json').mkdir(parents=True)  # cannot be replaced
    assert cache.file_sha256(file) == found and cache.known_sha256(file) is None
    assert [path.name for path in folder.iterdir() if path.suffix != '.lock'] == ['index.json']
    monkeypatch.setenv('MOGANET_CACHE', str(file))  # no folder
    assert cache.file_sha256(file) == found and cache.known_sha256(file) is None
    cache.remember_url('https://host/x', HASH)
    assert file.read_bytes() == b'weights'


def test_an_index_whose_lock_is_held_is_left(file, folder, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(cache, '_LOCK_S', 0.05)
    folder.mkdir()
    with FileLock(folder / 'index.json.lock'):
        cache.remember_url('https://host/x', HASH)
    assert cache.url_sha256('https://host/x') is None


def test_the_old_index_stays_whole_when_writing_fails(folder, monkeypatch):
    cache.remember_url('https://host/x', HASH)

    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    cache.remember_url('https://host/y', OTHER)
    assert (cache.url_sha256('https://host/x'), cache.url_sha256('https://host/y')) == (HASH, None)
    assert [path.name for path in folder.iterdir() if path.suffix != '.lock'] == ['index.json']


def test_the_oldest_files_are_forgotten_first(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, '_MANY', 3)
    files = [tmp_path / f'{number}.pth' for number in range(5)]
    for path in files:
        path.touch()
        cache.remember_url(f'https://host/{path.name}', HASH)
    for number in (0, 1, 2, 0, 3, 4):
        cache.remember_sha256(files[number], HASH)
    assert [cache.known_sha256(path) for path in files] == [HASH, None, None, HASH, HASH]
    assert all(cache.url_sha256(f'https://host/{path.name}') for path in files)


def remember_some(number: int) -> None:
    for index in range(20):
        cache.remember_url(f'https://host/{number}/{index}', HASH)


def test_processes_do_not_lose_each_others_entries():
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=remember_some, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    found = [cache.url_sha256(f'https://host/{number}/{index}') for number in range(4) for index in range(20)]
    assert found == [HASH] * 80
