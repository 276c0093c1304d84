"""Small disks, which fill up and can be had read-only."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Make a folder a disk of its own, of a size such as ``256k``; skip the test where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip('no disk can be mounted here: that is the right of root')
    try:
        yield folder
    finally:
        # Logs of the runs on it are still open.
        subprocess.run(['umount', '--lazy', str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Change a mounted disk: ``ro``, ``rw``, ``size=1m``."""
    subprocess.run(['mount', '-o', f'remount,{option}', str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write a file ``filler`` until the disk takes no more."""
    with open(folder / 'filler', 'wb', buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
