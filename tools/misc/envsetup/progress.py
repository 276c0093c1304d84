"""What the user sees while something runs: one line that moves on a terminal, a line now and then in a log."""

from __future__ import annotations

import re
import sys
import time
from typing import TextIO


def spell_seconds(seconds: float) -> str:
    """``8 s`` or ``3 min 05 s``."""
    whole = int(seconds + 0.5)
    return f'{whole} s' if whole < 60 else f'{whole // 60} min {whole % 60:02d} s'


class NinjaCount:
    """Reads how far a compilation is from ninja's ``[12/150]``, wherever it stands in pip's output."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0

    def feed(self, line: str) -> None:
        """Takes one line of output; lines of another kind change nothing."""
        found = re.match(r'\s*\[(\d+)/(\d+)\]', line)
        if found:
            self.done, self.total = int(found.group(1)), int(found.group(2))

    def text(self, seconds: float) -> str:
        """``12 of 150 files, about 4 min left``, from the time that it took so far; empty before the first file."""
        if not self.total:
            return ''
        shown = f'{self.done} of {self.total} files'
        # The first files say little about the rest.
        if 4 <= self.done < self.total:
            shown += f', about {spell_seconds(seconds / self.done * (self.total - self.done))} left'
        return shown


class StatusLine:
    """Shows one step: its title at once, how it goes while it lasts, and the seconds that it took.

    Args:
        title: what is being done.
        stream: where to; on a terminal one line is rewritten, elsewhere a line is added every 30 s.
    """

    every = 30.0

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title = title
        self.stream = stream if stream is not None else sys.stdout
        self.rewrites = self.stream.isatty()
        self.start = self.shown = time.monotonic()
        if self.rewrites:
            self._rewrite(title)
        else:
            self._line(title)

    def tick(self, detail: str = '') -> None:
        """Shows how long it has been, and how far it is."""
        now = time.monotonic()
        text = ', '.join(part for part in (detail, spell_seconds(now - self.start)) if part)
        if self.rewrites:
            self._rewrite(f'{self.title}: {text}')
        elif now - self.shown >= self.every:
            self.shown = now
            self._line(f'      ... {text}')

    def finish(self, result: str = '') -> None:
        """Closes the step."""
        seconds = time.monotonic() - self.start
        text = f'{result}, {spell_seconds(seconds)}' if result else spell_seconds(seconds)
        if self.rewrites:
            self._rewrite(f'{self.title}: {text}')
            self.stream.write('\n')
        else:
            self._line(f'      {text}')
        self.stream.flush()

    def fail(self) -> None:
        """Leaves the line as it is, so that the error starts on one of its own."""
        if self.rewrites:
            self.stream.write('\n')
            self.stream.flush()

    def _line(self, text: str) -> None:
        self.stream.write(f'{text}\n')
        self.stream.flush()

    def _rewrite(self, text: str) -> None:
        # Erase to the end of the line: the new text may be shorter.
        self.stream.write(f'\r{text}\x1b[K')
        self.stream.flush()
