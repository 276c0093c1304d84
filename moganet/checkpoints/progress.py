"""The progress of a download, on one line of the terminal.

Written by hand, because no progress bar's package comes with every toolbox: tqdm is MMDetection's alone.
"""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

_UPDATE_S = 0.2


def size_text(count: float) -> str:
    """Return a number of bytes in words, in the powers of 1000 that download pages use."""
    for unit in ('bytes', 'kB', 'MB'):
        if count < 1000:
            return f'{count:.0f} {unit}' if unit == 'bytes' else f'{count:.1f} {unit}'
        count /= 1000
    return f'{count:.2f} GB'


class Progress:
    """Show how much of a file has come; used as a context, which ends the line.

    Args:
        name: the file's.
        total: its size in bytes, None where the server does not tell.
        done: how much of it was here before.
        shown: show it; nothing is written otherwise.
    """

    def __init__(self, name: str, total: int | None, done: int, shown: bool) -> None:
        self.name, self.total, self.done, self.shown = name, total, done, shown
        self._first, self._started, self._updated = done, time.monotonic(), 0.0

    def __enter__(self) -> Progress:
        self._show()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._show()
        if self.shown:
            sys.stderr.write('\n')

    def add(self, count: int) -> None:
        """Note that ``count`` more bytes have come."""
        self.done += count
        if time.monotonic() - self._updated >= _UPDATE_S:
            self._show()

    def line(self) -> str:
        """Return the line as it stands."""
        rate = (self.done - self._first) / max(time.monotonic() - self._started, 1e-3)
        text = f'{self.name}: {size_text(self.done)}'
        if self.total is not None:
            text += f' of {size_text(self.total)} ({100 * self.done // max(self.total, 1)} %)'
        text += f', {size_text(rate)}/s'
        if self.total is not None and rate:
            text += f', {max(self.total - self.done, 0) / rate:.0f} s left'
        return text

    def _show(self) -> None:
        if not self.shown:
            return
        self._updated = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write('\r' + self.line()[:width].ljust(width))
        sys.stderr.flush()
