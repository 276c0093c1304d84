"""Read a checkpoint: weights alone, whole and finite, or an error that says why not."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cache
from .container import Container, container_of
from .errors import CheckpointError, NotACheckpointError, TornFileError
from .hashing import check_sha256, sha256_and_damage
from .legacy_check import check_legacy
from .pickle_check import inspect
from .safetensors_check import check_safetensors, meta_of
from .tensors import check_tensors
from .torch_load import load
from .zip_check import Archive, check_storages, check_zip


@dataclass(frozen=True)
class Contents:
    """What was read.

    Attributes:
        path: the file.
        sha256: of the file, 64 hexadecimal digits.
        container: the format: torch's zip archive, torch's format before 1.6, or safetensors.
        data: what the file holds; of a safetensors file its tensors as ``state_dict`` and its texts as ``meta``.
            Tensors may be views of the file rather than of memory: a model copies them when it loads them, and whoever
            keeps them must copy them before the file is written over in place. If it is replaced or deleted they stay.
    """

    path: Path
    sha256: str
    container: Container
    data: dict[str, Any]


def read(path: str | Path, sha256: str | None = None, unsafe: bool = False) -> Contents:
    """Read a checkpoint from a file.

    The checksums of a zip archive and the sha256 are gone over once; a file that is the same by size, time and inode as
    one that was, is known. No byte of the file is ever run, unless ``unsafe`` is given.

    Args:
        path: a file of torch (of any version since 2017) or of safetensors.
        sha256: what it should have, or the first 8 digits of it or more.
        unsafe: read what weights alone could do without, by running the file's pickle as the program that it is.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: one of its kinds, see :mod:`moganet.checkpoints.errors`.
    """
    path = _existing(Path(path))
    identity = _identity(path)
    container = container_of(path)
    archive = check_zip(path) if container == 'zip' else None
    metadata = check_safetensors(path) if container == 'safetensors' else {}
    known = cache.known_sha256(path)
    digest = _verified(path, archive, known, sha256)
    if container == 'safetensors':
        data = _load_safetensors(path, metadata)
    else:
        if unsafe:
            print(
                f'warning: {path} is read with unsafe=True: its pickle is run as a program, with all your rights',
                file=sys.stderr,
            )
        else:
            _inspect(path, archive)
        data = load(path, unsafe, mapped=archive is not None)
    check_tensors(path, data)
    if _identity(path) != identity:
        raise TornFileError(f'{path} changed while it was read; try again once nobody writes to it')
    if known is None:
        cache.remember_sha256(path, digest)
    return Contents(path, digest, container, data)


def _existing(path: Path) -> Path:
    path = path.expanduser()
    if path.is_dir():
        raise NotACheckpointError(f'{path} is a folder; give the checkpoint file in it')
    if not path.is_file():
        raise FileNotFoundError(f'there is no file {path}')
    if not os.access(path, os.R_OK):
        raise CheckpointError(f'{path} may not be read by this user; have its owner run `chmod a+r` on it')
    return path


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def _verified(path: Path, archive: Archive | None, known: str | None, given: str | None) -> str:
    """Return the sha256 of a file whose bytes are those that were written, as far as its format tells."""
    if known is not None:
        check_sha256(path, known, given)
        return known
    digest, damaged = sha256_and_damage(path, archive.entries.values() if archive else ())
    check_sha256(path, digest, given)
    if damaged is not None:
        raise TornFileError(f'{path}: the bytes of {damaged} are not those that were written (CRC); fetch it again')
    return digest


def _inspect(path: Path, archive: Archive | None) -> None:
    """Refuse pickles that want more than weights."""
    if archive is None:
        check_legacy(path)
        return
    entry = archive.entries['data.pkl']
    with path.open('rb') as file:
        file.seek(entry.offset)
        pickled = file.read(entry.size)
    check_storages(path, archive, inspect(io.BytesIO(pickled), str(path)).storages)


def _load_safetensors(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework='pt', device='cpu') as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise NotACheckpointError(f'{path} cannot be read by safetensors ({type(error).__name__}: {error})') from error
    return {'state_dict': tensors, 'meta': meta_of(metadata)}
