"""Reading a list of names, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .report import Findings


def numbered_lines(path: str, findings: Findings) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers, from 1; note a fault when it cannot be read."""
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        findings.fault('unreadable', path, None, f'cannot be read: {error}')
        return
    yield from enumerate(lines, 1)
