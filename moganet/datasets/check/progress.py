"""How far a long look has come, told on a terminal and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar('T')


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items, with a bar on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # MMEngine requires it
    from rich.progress import track

    yield from track(items, description=what, total=total, console=Console(stderr=True), transient=True)
