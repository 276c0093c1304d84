"""Files that are whole or absent: written under a temporary name, and moved into place once they are on the disk."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# What temporary names begin with, before the name of the file: hidden, so that no `*.pth` finds them.
_MARK = '.unfinished-'


@dataclass
class Replacement:
    """A file that is being written.

    Attributes:
        file: what it is written to.
        path: the name that it will have, which may be changed until the end.
    """

    file: IO[bytes]
    path: Path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Replacement]:
    """Open a file for writing that has its name at the end of the block, unless the block fails.

    A file of that name is replaced.
    """
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f'{_MARK}{path.name}-', delete=False) as file:
        temporary, new = Path(file.name), Replacement(file, path)
        try:
            yield new
            file.flush()
            temporary.chmod(0o666 & ~_umask())  # a temporary file is its owner's alone
            move_into_place(temporary, new.path)
        except BaseException:
            discard(temporary)
            raise


def unfinished(name: str) -> str:
    """Return the temporary name for a file that another than :func:`replacing` writes."""
    return f'{_MARK}{name}'


def move_into_place(temporary: Path, path: Path) -> None:
    """Have the disk take a file, then give it its name, which the disk takes too."""
    _synchronise(temporary, os.O_RDWR)
    temporary.replace(path)
    _synchronise(path.parent, os.O_RDONLY)


def discard(temporary: Path) -> None:
    """Remove what could not be finished, where the disk still allows it: what was raised before matters more."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | Path) -> list[Path]:
    """Remove, and return, what processes that were killed while they wrote have left in a folder."""
    left = sorted(Path(folder).glob(f'{_MARK}*'))
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _synchronise(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
