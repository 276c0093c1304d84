"""Tell by its first bytes what a file is."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Literal

from .errors import NotACheckpointError, TornFileError
from .legacy_check import MAGIC_BYTES

Container = Literal['zip', 'legacy', 'safetensors']

_HEAD = 512  # bytes; a tar names itself at the 257th
_FETCH = 'fetch it again from where it was made'
_UNPACK = 'unpack it, and give the file within'

# What is found where a checkpoint should be, and what to do about it.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b'version https://git-lfs', 'a pointer of git-lfs, not the file that it points to', 'run `git lfs pull`'),
    (b'\x1f\x8b', 'compressed by gzip', 'unpack it with gunzip'),
    (b'\xfd7zXZ', 'compressed by xz', 'unpack it with unxz'),
    (b'BZh', 'compressed by bzip2', 'unpack it with bunzip2'),
    (b'\x28\xb5\x2f\xfd', 'compressed by zstd', 'unpack it with unzstd'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive', _UNPACK),
    (b'Rar!', 'a rar archive', _UNPACK),
    (b'PK\x05\x06', 'an empty zip archive', _FETCH),
    (b'\x89HDF', 'an HDF5 file, as Keras writes', 'MogaNet has no weights in that format'),
    (b'GGUF', 'a GGUF file', 'MogaNet has no weights in that format'),
    (b'\x93NUMPY', 'an array of numpy', 'give the checkpoint that torch.save wrote'),
    (b'\x7fELF', 'a program', 'give the checkpoint that torch.save wrote'),
    (b'\x89PNG', 'a picture', 'give the checkpoint that torch.save wrote'),
    (b'\xff\xd8\xff', 'a picture', 'give the checkpoint that torch.save wrote'),
)
_MARKUP = (b'<!doctype', b'<html', b'<head', b'<?xml', b'<error')


def container_of(path: Path) -> Container:
    """Return the format of a checkpoint.

    Raises:
        NotACheckpointError: it is none; the message says what it is instead.
        TornFileError: it is cut off within the first bytes.
    """
    with path.open('rb') as file:
        head = file.read(_HEAD)
    if head.startswith(b'PK\x03\x04'):
        return 'zip'
    if head.startswith(MAGIC_BYTES) and not tarfile.is_tarfile(path):  # torch would ask for a tar first
        return 'legacy'
    if head[8:10] in (b'{"', b'{}', b'{ '):
        return 'safetensors'
    if head and (MAGIC_BYTES.startswith(head) or b'PK\x03\x04'.startswith(head)):
        raise TornFileError(f'{path} ends after {len(head)} bytes, within the mark of a torch file: {_FETCH}')
    what, advice = _described(path, head)
    raise NotACheckpointError(f'{path} is no checkpoint but {what}; {advice}')


def _described(path: Path, head: bytes) -> tuple[str, str]:
    """Return what a file is that is no checkpoint, and what to do."""
    text = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if not head:
        return 'an empty file', _FETCH
    if text.startswith(_MARKUP):
        return 'an HTML page, as a server sends it to say that something is wrong', 'open it in a browser to read why'
    for mark, what, advice in _OTHERS:
        if head.startswith(mark):
            return what, advice
    if tarfile.is_tarfile(path):
        return 'a tar archive (or a torch file from before 2017)', _UNPACK
    if head[:1] == b'\x80' and head[1:2] in b'\x02\x03\x04\x05':
        return 'a bare pickle, which only running it can read', 'have it saved with torch.save'
    if all(byte >= 0x20 or byte in b'\t\r\n' for byte in head) and head.isascii():
        return f'a text that begins {head[:40].decode()!r}', _FETCH
    return f'something unknown that begins with the bytes {head[:8].hex(" ")}', _FETCH
