"""Find out that a folder cannot be written before hours are spent on what goes into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Enough that a full disk, or a quota, shows; small enough to take no time.
_PROBE_BYTES = 1 << 20


def ensure_writable(folder: str | Path, option: str, needed_bytes: int = 0) -> Path:
    """Create a folder and prove that a file can be written in it; leave nothing behind if it cannot.

    Args:
        folder: the folder, which may be absent.
        option: what names it, for the message: ``--work-dir``.
        needed_bytes: how much will be written at least.

    Returns:
        The folder's absolute path.

    Raises:
        ValueError: it cannot be created or written, or has too little space; the message says which.
    """
    path = Path(folder).expanduser().absolute()
    made: list[Path] = []
    try:
        made = _missing_parents(path)
        path.mkdir(parents=True, exist_ok=True)
        _probe(path)
        _check_space(path, option, needed_bytes)
    except OSError as error:
        _remove(made)
        raise ValueError(
            f'{option} {folder} cannot be written: {error.strerror or error}. '
            f'Give a folder on a disk with space that you may write: {option} DIR'
        ) from error
    except ValueError:
        _remove(made)
        raise
    return path


def ensure_writable_together(folders: Sequence[tuple[str, str]]) -> list[Path]:
    """Do :func:`ensure_writable` for several folders; when one fails, those made for the others go again.

    Args:
        folders: each folder, and what names it.
    """
    made = [parent for folder, _ in folders for parent in _missing_parents(Path(folder).expanduser().absolute())]
    try:
        return [ensure_writable(folder, option) for folder, option in folders]
    except ValueError:
        _remove(sorted(set(made), key=lambda path: len(path.parts), reverse=True))
        raise


def _missing_parents(path: Path) -> list[Path]:
    """Return the folders that creating ``path`` would create, the innermost first."""
    missing = []
    while not path.exists() and path != path.parent:
        missing.append(path)
        path = path.parent
    return missing


def _probe(folder: Path) -> None:
    handle, name = tempfile.mkstemp(prefix='.write_probe_', dir=folder)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        os.unlink(name)


def _check_space(folder: Path, option: str, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise ValueError(
            f'{option} {folder} has {free / 2**20:,.0f} MiB free, and one checkpoint of this model takes about '
            f'{needed_bytes / 2**20:,.0f} MiB. Make room, or give another folder: {option} DIR'
        )


def _remove(made: list[Path]) -> None:
    for folder in made:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
