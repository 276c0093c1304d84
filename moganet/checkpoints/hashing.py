"""The sha256 of a file and the checksums of a zip archive's entries, each in one pass over the file."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .errors import HashMismatchError

_BLOCK = 1 << 20  # bytes; larger blocks fall out of a core's cache between being read and being hashed


class Entry(NamedTuple):
    """One entry of an archive: where its bytes lie in the file, and what they should sum up to."""

    name: str
    offset: int
    size: int
    crc: int


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for block in _blocks(path, 0, path.stat().st_size):
        digest.update(block)
    return digest.hexdigest()


def first_damaged(path: Path, entries: Iterable[Entry]) -> str | None:
    """Return the name of the first entry whose bytes do not sum up to its checksum; None where all do."""
    for entry in entries:
        crc = 0
        for block in _blocks(path, entry.offset, entry.size):
            crc = zlib.crc32(block, crc)
        if crc != entry.crc:
            return entry.name
    return None


def sha256_and_damage(path: Path, entries: Iterable[Entry]) -> tuple[str, str | None]:
    """Return both of the above. Either keeps a core busy and lets go of Python's lock, so they run side by side."""
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(sha256_of, path)
        damaged = first_damaged(path, entries)
        return digest.result(), damaged


def check_sha256(path: Path, found: str, given: str | None) -> None:
    """Raise :class:`HashMismatchError` where another sha256 was given, whole or by its first 8 digits or more."""
    if given is None:
        return
    if not re.fullmatch('[0-9a-f]{8,64}', given.lower()):
        raise ValueError(f'sha256={given!r} is not a sha256: give its 64 hexadecimal digits, or the first 8 or more')
    if not found.startswith(given.lower()):
        raise HashMismatchError(
            f'{path} has sha256 {found}, not {given.lower()} as was given: it is another file, or a damaged one; '
            'fetch it again, or correct the sha256'
        )


def _blocks(path: Path, offset: int, size: int) -> Iterator[memoryview]:
    """Yield a stretch of a file block by block, in one buffer."""
    buffer = memoryview(bytearray(min(_BLOCK, size)))
    with path.open('rb', buffering=0) as file:
        file.seek(offset)
        while size > 0:
            count = file.readinto(buffer[: min(_BLOCK, size)])
            if not count:
                return  # the file has shrunk meanwhile; the sum tells
            size -= count
            yield buffer[:count]
