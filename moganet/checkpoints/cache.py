"""Where downloaded checkpoints lie, and the hashes that are remembered of files and URLs.

One file, ``index.json``, holds them. It saves time and tells when a file has changed; where it is torn, read-only or
absent, hashes are computed anew and nothing is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ..whole_file import replacing

INDEX = 'index.json'
# Checkpoints of trainings are indexed as well, and nobody tells when they are deleted.
_MANY = 1000
_BLOCK = 1 << 20
_LOCK_S = 10.0


def cache_dir() -> Path:
    """Return the folder of downloaded checkpoints, which need not exist yet.

    It is what MOGANET_CACHE names, else ``moganet/checkpoints`` in XDG_CACHE_HOME, else in ``~/.cache``.
    """
    own = os.environ.get('MOGANET_CACHE')
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get('XDG_CACHE_HOME', '')
    # The specification has a relative path ignored.
    base = Path(shared) if os.path.isabs(shared) else Path.home() / '.cache'
    return base / 'moganet' / 'checkpoints'


def file_sha256(path: str | Path) -> str:
    """Return a file's sha256, in hexadecimal digits; it is read only where the index does not know it."""
    known = known_sha256(path)
    if known is not None:
        return known
    found, seen = hash_file(path)
    remember_sha256(path, found, seen)
    return found


def hash_file(path: str | Path) -> tuple[str, os.stat_result]:
    """Read a file; return its sha256, and what ``os.stat`` said of it before."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        seen = os.fstat(file.fileno())
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest(), seen


def known_sha256(path: str | Path) -> str | None:
    """Return the sha256 that was remembered of a file, or None when there is none or the file has changed since."""
    entry = _read()['files'].get(os.path.realpath(path))
    try:
        stamp = _stamp(os.stat(path))
    except OSError:
        return None
    if not isinstance(entry, dict) or entry.get('stamp') != stamp:
        return None
    return _digest(entry.get('sha256'))


def remember_sha256(path: str | Path, sha256: str, seen: os.stat_result | None = None) -> None:
    """Remember a file's sha256, for as long as its size, time, inode and device stay the same.

    Args:
        path: the file.
        sha256: its hash, 64 hexadecimal digits.
        seen: what ``os.stat`` said before the file was hashed, so that a change meanwhile is noticed; its present state
            when None.
    """
    try:
        stamp = _stamp(seen or os.stat(path))
    except OSError:
        return
    _update('files', os.path.realpath(path), {'stamp': stamp, 'sha256': sha256})


def url_sha256(url: str) -> str | None:
    """Return the sha256 of the file that was first fetched from a URL, or None."""
    return _digest(_read()['urls'].get(url))


def remember_url(url: str, sha256: str) -> None:
    """Remember the sha256 of the file that a URL gives."""
    _update('urls', url, sha256)


def forget_url(url: str) -> None:
    """Forget which sha256 the file of a URL had."""
    if url_sha256(url) is not None:
        _update('urls', url, None)


def _stamp(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev]


def _digest(value: object) -> str | None:
    """Return what was read as a hash, or None where it is none."""
    return value if isinstance(value, str) and len(value) == 64 else None


def _read() -> dict[str, dict[str, Any]]:
    """Return the index's two tables; empty ones for what cannot be read."""
    try:
        found = json.loads((cache_dir() / INDEX).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        found = None
    tables = found if isinstance(found, dict) else {}
    return {name: table if isinstance(table := tables.get(name), dict) else {} for name in ('files', 'urls')}


def _update(table: str, key: str, value: object) -> None:
    """Set an entry of the index, or remove it (None); give up in silence where it cannot be written."""
    from filelock import FileLock  # comes with torch

    folder = cache_dir()
    # NotImplementedError: a file system without locks.
    with contextlib.suppress(OSError, NotImplementedError):
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes that read, change and write would lose each other's entries. A Timeout is an OSError.
        with FileLock(folder / f'{INDEX}.lock', timeout=_LOCK_S):
            index = _read()
            index[table].pop(key, None)
            if value is not None:
                index[table][key] = value
            index['files'] = dict(list(index['files'].items())[-_MANY:])
            with replacing(folder / INDEX) as new:
                new.file.write(json.dumps(index, indent=1).encode())

