"""Fetch a checkpoint from its URL into the cache: whole, of the recorded hash, and once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..environment import is_main_process
from . import cache
from .errors import DownloadError, HashMismatchError
from .transfer import TransferError, discard, transfer


def fetch(url: str, sha256: str | None = None, progress: bool = True) -> Path:
    """Return the file of a URL, fetched where the cache does not have it; nothing is asked of the server where it has.

    The hash is recorded when a URL is first used, and checked from then on. Of several processes one fetches, and the
    others wait for it.

    Args:
        url: http, https or file; a file of this machine is used where it lies, and nothing is recorded of it.
        sha256: the hash that the file must have, 64 hexadecimal digits, whatever was recorded.
        progress: show the progress, on a terminal, in the first process of a distributed run.

    Raises:
        DownloadError: it could not be fetched; the message says why, and where to put the file by hand.
        HashMismatchError: the file has another hash than was given or recorded.
        ValueError: ``sha256`` is none.
    """
    if sha256 is not None and not re.fullmatch('[0-9a-fA-F]{64}', sha256):
        raise ValueError(f'sha256={sha256!r} for {url}: 64 hexadecimal digits are needed')
    wanted = sha256.lower() if sha256 else None
    if url.lower().startswith('file:'):
        return _local_file(url, wanted)
    target = cached_path(url)
    if not _is_cached(url, target, wanted):
        with _only_one(url, target):
            # Another process may have brought it meanwhile.
            if not _is_cached(url, target, wanted):
                _download(url, target, wanted, progress and sys.stderr.isatty() and is_main_process())
    return target


def cached_path(url: str) -> Path:
    """Return where the file of a URL lies in the cache, or would lie: under its own name, in a folder of the URL's own.

    Raises:
        DownloadError: it is no URL of http or https, or names no file.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DownloadError(f'{url} cannot be downloaded: it is no valid URL ({error})') from error
    if parts.scheme not in ('http', 'https') or not parts.netloc:
        raise DownloadError(f'{url} cannot be downloaded: a URL with http://, https:// or file:// is needed')
    name = re.sub(r'[^\w.+-]', '_', unquote(parts.path.rpartition('/')[2]))
    if not name.strip('.'):
        raise DownloadError(f'{url} cannot be downloaded: the URL names no file')
    # Releases of several repositories have files of one name.
    return cache.cache_dir() / hashlib.sha256(url.encode()).hexdigest()[:12] / name


def _is_cached(url: str, target: Path, wanted: str | None) -> bool:
    """Whether the cache has the file; a file that was put there by hand is recorded as the URL's.

    Raises:
        HashMismatchError: it has one of another hash.
        DownloadError: it has one that cannot be read.
    """
    if not target.is_file():
        return False
    try:
        found = cache.file_sha256(target)
    except OSError as error:
        raise DownloadError(f'{target}, fetched from {url}, cannot be read ({error.strerror})') from error
    recorded = cache.url_sha256(url)
    expected = wanted or recorded
    if expected not in (None, found):
        raise _mismatch(str(target), found, url, target, wanted, recorded)
    if recorded != found:
        cache.remember_url(url, found)
    return True


def _download(url: str, target: Path, wanted: str | None, shown: bool) -> None:
    part = target.with_name(f'{target.name}.part')
    recorded = cache.url_sha256(url)
    try:
        transfer(url, part, target.name, shown)
        found, seen = cache.hash_file(part)
        if (wanted or recorded) not in (None, found):
            discard(part)
            raise _mismatch(f'what {url} gave', found, url, target, wanted, recorded)
        os.replace(part, target)
        discard(part)
        _sync_folder(target.parent)
    except TransferError as error:
        if part.is_file() and not part.stat().st_size:
            discard(part)
        raise DownloadError(f'{url} cannot be downloaded: {error}; {_by_hand(url, target)}') from error
    except OSError as error:
        reason = f'{target.parent} cannot be written ({error.strerror or error})'
        raise DownloadError(f'{url} cannot be downloaded: {reason}; {_by_hand(url, target)}') from error
    cache.remember_sha256(target, found, seen)
    cache.remember_url(url, found)


@contextlib.contextmanager
def _only_one(url: str, target: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file meanwhile, or wait for the one that does."""
    from filelock import FileLock, Timeout  # comes with torch

    lock = FileLock(target.with_name(f'{target.name}.lock'))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if is_main_process():
                print(f'waiting for another process that downloads {url} to {target}', file=sys.stderr, flush=True)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise DownloadError(
            f'{url} cannot be downloaded: the cache folder {target.parent} cannot be written, or has no locks '
            f'({reason}); name another folder in MOGANET_CACHE, or {_by_hand(url, target)}'
        ) from error
    try:
        yield
    finally:
        lock.release()


def _local_file(url: str, wanted: str | None) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ('', 'localhost'):
        raise DownloadError(f'{url}: a file of another machine; give one of this machine, file:///PATH')
    path = Path(url2pathname(parts.path))
    if not path.is_absolute() or not path.is_file():
        raise DownloadError(f'{url}: there is no file {path}; file:///PATH with the whole path is needed')
    if wanted is not None and (found := cache.file_sha256(path)) != wanted:
        raise HashMismatchError(f'{url}: its sha256 is {found}, {wanted} was given; the file or the hash is wrong')
    return path


def _mismatch(
    what: str, found: str, url: str, target: Path, wanted: str | None, recorded: str | None
) -> HashMismatchError:
    if wanted:
        expected, mend = f'{wanted} was given', 'the file or the hash is wrong'
    else:
        expected = f'{recorded} was recorded when {url} was first used'
        index = cache.cache_dir() / cache.INDEX
        mend = f'the file was damaged or exchanged; where it is right all the same, give its sha256, or delete {index}'
    remove = f'; delete {target} to have it fetched again' if what == str(target) else ''
    return HashMismatchError(f'{what}: the sha256 is {found}, {expected}: {mend}{remove}; {_by_hand(url, target)}')


def _by_hand(url: str, target: Path) -> str:
    return f'by hand: fetch {url} elsewhere and put the file at {target}'


def _sync_folder(folder: Path) -> None:
    """Bring a renaming onto the disk, where a folder can be opened for that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
