"""The format of torch before 1.6: five pickles in a row, then the bytes of the storages, with no checksum anywhere."""

from __future__ import annotations

import struct
from pathlib import Path

from .errors import NotACheckpointError, TornFileError, UnsafeFileError
from .pickle_check import inspect

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = b'\x80\x02\x8a\x0a' + MAGIC.to_bytes(10, 'little') + b'.'
_PROTOCOL = 1001
_NUMEL = struct.Struct('<q')


def check_legacy(path: Path) -> None:
    """Inspect every pickle of the file, and hold the storages that they declare to what the file has.

    Raises:
        TornFileError: the file ends early, or goes on behind the last storage.
        UnsafeFileError: a pickle wants more than weights.
        NotACheckpointError: it is of another protocol, or was written on a machine of the other byte order.
    """
    where, size = str(path), path.stat().st_size
    with path.open('rb') as file:
        magic, protocol, system = (inspect(file, where).value for _ in range(3))
        if magic != MAGIC or protocol != _PROTOCOL:
            raise NotACheckpointError(f'{path}: torch files of protocol {protocol!r} are not known')
        # A dict, laid out as keys and values in turn.
        if not isinstance(system, list) or dict(zip(system[::2], system[1::2])).get('little_endian') is not True:
            raise NotACheckpointError(f'{path} was written on a big-endian machine; convert it there')
        storages = inspect(file, where).storages
        keys = inspect(file, where).value
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise TornFileError(f'{path}: the list of its storages is damaged; fetch it again')
        if sorted(keys) != sorted(storages):
            raise UnsafeFileError(f'{path} is refused: its pickle declares other storages than it lists')
        place = file.tell()
        for key in keys:
            file.seek(place)
            head = file.read(_NUMEL.size)
            declared, itemsize = storages[key].numel, storages[key].itemsize
            place += _NUMEL.size + declared * itemsize
            if len(head) < _NUMEL.size or place > size:
                raise TornFileError(f'{path} has {size:,} bytes and should have {place:,} or more: it was cut short')
            if _NUMEL.unpack(head)[0] != declared:
                raise TornFileError(f'{path}: the storage {key} should have {declared:,} elements; the file is damaged')
    if place != size:
        raise TornFileError(f'{path} goes on for {size - place:,} bytes behind its last storage; fetch it again')
