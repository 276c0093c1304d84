"""A torch zip archive is one folder of uncompressed entries; whatever else the format allows is refused here.

Python's reader of zip files and torch's are two programs. An archive that each of them would read differently has an
entry under two names, twice, or lying on another, and none of that leaves this module.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from .errors import NotACheckpointError, TornFileError, UnsafeFileError
from .hashing import Entry
from .pickle_rules import Storage

_LOCAL_HEADER = struct.Struct('<4s2xHH16xHH')  # signature, flags, method, lengths of name and of extra field
_ENCRYPTED = 1


class Archive(NamedTuple):
    """The root folder of an archive, and its entries by their names within it."""

    root: str
    entries: dict[str, Entry]


def check_zip(path: Path) -> Archive:
    """Return what is in a torch archive.

    Raises:
        TornFileError: the archive is cut short or its directory is damaged.
        UnsafeFileError: an entry lies outside the root folder, twice in it, upon another one, or is compressed.
        NotACheckpointError: it is an archive of something else.
    """
    try:
        with path.open('rb') as file, zipfile.ZipFile(file) as archive:
            if archive.comment:
                raise _unsafe(path, 'it has a comment, in which a second archive may hide')
            if any(name.endswith('/constants.pkl') for name in archive.namelist()):
                raise NotACheckpointError(
                    f'{path} is a TorchScript program, not weights; save its state_dict() with torch.save instead'
                )
            entries = [_entry(path, file, info) for info in archive.infolist()]
            end = archive.start_dir
    except (UnsafeFileError, NotACheckpointError, TornFileError):
        raise
    except Exception as error:  # BadZipFile for most; flipped bits raise nearly anything in zipfile
        raise TornFileError(
            f'{path} begins as a torch file, but its directory, at its end, cannot be read ({error}): it was cut short '
            'or damaged; fetch it again'
        ) from error
    _check_places(path, entries, end)
    return _check_names(path, entries)


def check_storages(path: Path, archive: Archive, storages: dict[str, Storage]) -> None:
    """Raise where the pickle declares a storage that the archive has not, or has in another size."""
    for key, storage in storages.items():
        entry = archive.entries.get(f'data/{key}')
        if entry is None:
            raise TornFileError(f'{path}: the entry data/{key}, a tensor of it, is missing; fetch the file again')
        if entry.size != storage.itemsize * storage.numel:
            raise UnsafeFileError(
                f'{path} is refused: its pickle declares {storage.itemsize * storage.numel:,} bytes for data/{key}, '
                f'which has {entry.size:,}'
            )


def _entry(path: Path, file: IO[bytes], info: zipfile.ZipInfo) -> Entry:
    """Return one entry of the directory, after a look at the header that stands before its bytes."""
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise _unsafe(path, f'its entry {info.orig_filename!r} is compressed, which torch never does')
    file.seek(info.header_offset)
    signature, flags, method, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    name = file.read(name_length)
    if (info.flag_bits | flags) & _ENCRYPTED:
        raise _unsafe(path, f'its entry {info.orig_filename!r} is encrypted')
    if signature != b'PK\x03\x04' or method != zipfile.ZIP_STORED or name != info.orig_filename.encode():
        raise TornFileError(
            f'{path}: the header of the entry {info.orig_filename!r} is not what the directory says: the file is '
            'damaged; fetch it again'
        )
    offset = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    return Entry(info.orig_filename, offset, info.file_size, info.CRC)


def _check_places(path: Path, entries: Iterable[Entry], end: int) -> None:
    """Raise unless the entries lie one behind the other, before the directory."""
    place = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset < place:
            raise _unsafe(path, f'its entry {entry.name!r} lies upon another')
        place = entry.offset + entry.size
    if place > end:
        raise TornFileError(f'{path}: an entry ends at byte {place:,}, its directory begins at {end:,}; fetch it again')


def _check_names(path: Path, entries: list[Entry]) -> Archive:
    """Return the entries by name, all below one folder, a pickle among them."""
    if not entries:
        raise NotACheckpointError(f'{path} is an empty zip archive')
    root = entries[0].name.split('/')[0]
    named: dict[str, Entry] = {}
    for entry in entries:
        name = entry.name[len(root) + 1 :]
        parts = PurePosixPath(entry.name).parts
        if not parts or parts[0] != root or not name or '..' in parts or '\\' in entry.name or '\0' in entry.name:
            raise _unsafe(path, f'its entry {entry.name!r} lies outside its folder {root!r}')
        if name in named:
            raise _unsafe(path, f'its entry {entry.name!r} is there twice')
        named[name] = entry
    if 'data.pkl' not in named:
        raise NotACheckpointError(f'{path} is a zip archive, but not one of torch: it has no data.pkl in {root!r}')
    return Archive(root, named)


def _unsafe(path: Path, what: str) -> UnsafeFileError:
    return UnsafeFileError(f'{path} is refused: {what}. Nothing of it was read; fetch it again from where it was made')
